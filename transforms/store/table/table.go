// Package table is the format of pictures in Parquet files: a Row for each frame of which
// something is stored, with what is known of its faces and the pictures themselves. The
// fields are named as those of events are and mean the same; docs/outputs.md has them.
//
// Below the root of an output, files are in a folder for each hour of the records'
// timestamps, in UTC, and those of undated records in one of their own:
//
//	_pictures/<yyyy-mm-dd>/<hh>/<window>.parquet
//	_pictures/undated/<window>.parquet
//
// A row has no address, since rows move to larger files: it is found by its folder and its
// record. Events name pictures as they do without tables (store.Name), which tells both.
//
// Write makes a file of one row group, in which rows are in the order of camera and time.
// Join makes one file of several, by copying their row groups. Each picture is a page of
// its own without compression, so that it is read without the rest:
//
//	file, err := table.Open(r, size) // reads the footer
//	for row, err := range file.Rows(math.MaxInt64) { // reads no pictures
//		...
//	}
//	picture, err := file.Picture(7) // reads one picture
package table

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"facestream/internal/record"
)

// ErrDamaged is wrapped by errors about bytes that are not those that were written.
var ErrDamaged = parquet.ErrCorrupted

// Row is a frame of which something is stored. Pictures that are not stored are nil.
type Row struct {
	record.ID
	Camera          string `parquet:"camera,dict"`
	Timestamp       *int64 `parquet:"timestamp,timestamp"` // null for an undated record; Complete sets it
	TimestampMillis int64  `parquet:"timestamp_ms"`        // of the record, whatever it is
	FrameWidth      int32  `parquet:"frame_width"`         // pixels of the upright frame
	FrameHeight     int32  `parquet:"frame_height"`
	Detector        string `parquet:"detector,dict"`
	SettingsSHA256  string `parquet:"settings_sha256,dict"`
	// DetectMillis is the only field that differs when a record is read again.
	DetectMillis float64 `parquet:"detect_ms"`
	Faces        []Face  `parquet:"faces,list"`
	Picture      []byte  `parquet:"picture,optional"`
	Annotated    []byte  `parquet:"annotated,optional"`

	// Sizes of the pictures, which Complete sets; 0 for what is not stored.
	PictureBytes   int32 `parquet:"picture_bytes"`
	AnnotatedBytes int32 `parquet:"annotated_bytes"`

	// Nth is its number in the file that it was read from, the first being 0.
	Nth int64 `parquet:"-"`
}

// Face is one face of a frame.
type Face struct {
	Face          int32                `parquet:"face"` // from 1
	Box           record.Box           `parquet:"box"`
	BoxNormalized record.NormalizedBox `parquet:"box_normalized"`
	Blur          float64              `parquet:"blur"`
	Score         *float64             `parquet:"score"`
	Landmarks     *record.Landmarks    `parquet:"landmarks"`
	Crop          []byte               `parquet:"crop,optional"`
	CropBytes     int32                `parquet:"crop_bytes"`
}

var (
	// withoutPictures is the schema of rows without what is in these columns.
	withoutPictures = parquet.SchemaOf(Row{}, parquet.StructTag(`parquet:"-"`, "Picture"), parquet.StructTag(`parquet:"-"`, "Annotated"),
		parquet.StructTag(`parquet:"-"`, "faces", "list", "element", "Crop"))

	pictureColumn   = []string{"picture"}
	annotatedColumn = []string{"annotated"}
	cropColumn      = []string{"faces", "list", "element", "crop"}
	pictureColumns  = [][]string{pictureColumn, annotatedColumn, cropColumn}
)

// newWriter leaves out the least and the greatest value of pictures: these would be whole
// pictures.
func newWriter(w io.Writer) *parquet.GenericWriter[Row] {
	options := []parquet.WriterOption{
		parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), // Spark 3.5 fails at the library's own default
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending("camera"), parquet.Ascending("timestamp_ms"))),
	}
	for _, column := range pictureColumns {
		options = append(options, parquet.SkipPageBounds(column...), parquet.SkipPageStatistics(column...))
	}
	return parquet.NewGenericWriter[Row](w, options...)
}

// Write writes rows, which it sorts and completes, as a file of one row group. It needs the memory of
// the pictures once more.
func Write(w io.Writer, rows []Row) error {
	return WriteGroups(w, func(yield func([]Row, error) bool) { yield(rows, nil) })
}

// WriteGroups writes a file of several row groups, of which none is empty, as Write does of
// one. It holds one group at a time, and ends with the first error.
func WriteGroups(w io.Writer, groups iter.Seq2[[]Row, error]) error {
	out := newWriter(w)
	var pictures []*parquet.ColumnWriter
	for _, name := range pictureColumns {
		leaf, _ := out.Schema().Lookup(name...)
		pictures = append(pictures, out.ColumnWriters()[leaf.ColumnIndex])
	}
	for rows, err := range groups {
		if err != nil {
			return err
		}
		slices.SortFunc(rows, func(a, b Row) int {
			return cmp.Or(strings.Compare(a.Camera, b.Camera), cmp.Compare(a.TimestampMillis, b.TimestampMillis), a.ID.Compare(b.ID))
		})
		for i := range rows {
			rows[i].Complete()
			if _, err := out.Write(rows[i : i+1]); err != nil {
				return err
			}
			for _, column := range pictures {
				if err := column.Flush(); err != nil { // which ends a page
					return err
				}
			}
		}
		if err := out.Flush(); err != nil { // which ends the row group
			return err
		}
	}
	return out.Close()
}

// Complete sets the fields that follow from others.
func (r *Row) Complete() {
	if r.Timestamp = nil; record.Dated(r.TimestampMillis) {
		r.Timestamp = &r.TimestampMillis
	}
	r.PictureBytes, r.AnnotatedBytes = int32(len(r.Picture)), int32(len(r.Annotated))
	for i := range r.Faces {
		r.Faces[i].CropBytes = int32(len(r.Faces[i].Crop))
	}
}

// Join writes the first row groups of files as one file, without decoding them: of each
// file those with its first so many rows.
func Join(w io.Writer, files []*File, rows []int64) error {
	out := newWriter(w)
	for i, f := range files {
		left := rows[i]
		for _, group := range f.file.RowGroups() {
			if left <= 0 {
				break
			}
			if _, err := out.WriteRowGroup(group); err != nil {
				return err
			}
			left -= group.NumRows()
		}
		if left != 0 {
			return fmt.Errorf("the first %d rows are no whole row groups", rows[i])
		}
	}
	return out.Close()
}

// File is an open file.
type File struct{ file *parquet.File }

// Open reads the footer of a file, and no index: who reads a picture reads that of its
// column. What is no such file is an error.
func Open(r io.ReaderAt, size int64) (*File, error) {
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	if want := parquet.SchemaOf(Row{}); !parquet.EqualNodes(file.Schema(), want) {
		return nil, fmt.Errorf("its columns are not those of pictures: %s", file.Schema())
	}
	return &File{file}, nil
}

// NumRows is how many rows there are.
func (f *File) NumRows() int64 { return f.file.NumRows() }

// Rows gives the first so many rows in their order, without their pictures and without
// reading these.
func (f *File) Rows(most int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		in := parquet.NewGenericReader[Row](f.file, withoutPictures)
		defer in.Close()
		rows := make([]Row, 64)
		for nth := int64(0); ; {
			n, err := in.Read(rows)
			for _, row := range rows[:n] {
				if row.Nth = nth; nth == most || !yield(row, nil) {
					return
				}
				nth++
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			clear(rows) // what is yielded keeps its faces
		}
	}
}

// AddPictures reads the pictures of a row that was read from it.
func (f *File) AddPictures(row *Row) (err error) {
	if row.Picture, err = f.Picture(row.Nth); err == nil {
		row.Annotated, err = f.Annotated(row.Nth)
	}
	if err != nil {
		return err
	}
	crops, err := f.Crops(row.Nth)
	for i := range min(len(crops), len(row.Faces)) {
		row.Faces[i].Crop = crops[i]
	}
	return err
}

// Picture returns the frame of a row, which is nil if it is not stored.
func (f *File) Picture(row int64) ([]byte, error) { return one(f.read(row, pictureColumn)) }

// Annotated returns the frame with its faces drawn in.
func (f *File) Annotated(row int64) ([]byte, error) { return one(f.read(row, annotatedColumn)) }

// Crops returns the pictures of the faces of a row, in their order.
func (f *File) Crops(row int64) ([][]byte, error) { return f.read(row, cropColumn) }

func one(values [][]byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

// read returns the values of a column in a row.
func (f *File) read(row int64, column []string) ([][]byte, error) {
	leaf, _ := f.file.Schema().Lookup(column...)
	for _, group := range f.file.RowGroups() {
		if row >= group.NumRows() {
			row -= group.NumRows()
			continue
		}
		chunk := group.ColumnChunks()[leaf.ColumnIndex]
		if _, err := chunk.OffsetIndex(); err != nil { // by which it finds the row
			return nil, err
		}
		pages := chunk.Pages()
		defer pages.Close()
		if err := pages.SeekToRow(row); err != nil {
			return nil, err
		}
		page, err := pages.ReadPage()
		if err != nil {
			return nil, err
		}
		defer parquet.Release(page)
		values := make([]parquet.Value, page.NumValues())
		if n, err := page.Values().ReadValues(values); err != nil && err != io.EOF || n != len(values) {
			return nil, fmt.Errorf("reading %d values of a page: got %d: %w", len(values), n, err)
		}
		var all [][]byte
		for i, v := range values {
			if i > 0 && v.RepetitionLevel() == 0 { // the next row
				break
			}
			var data []byte
			if !v.IsNull() {
				data = bytes.Clone(v.ByteArray())
			}
			all = append(all, data)
		}
		return all, nil
	}
	return nil, fmt.Errorf("there is no row %d", row)
}
