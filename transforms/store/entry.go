package store

import (
	"facestream/internal/record"
	"facestream/transforms/store/table"
)

// File is one file to be stored.
type File struct {
	Name string // path below the root, as Name.Path gives it
	Data []byte
}

// Tally is what the ledger counts of one record, beside its files.
type Tally struct {
	record.ID
	TimestampMillis int64 // of the record; the latest picture is chosen by it
	Size            int64 // bytes of the record's value
	Camera          string
	Rejected        string  // the reason why the record gave no frame; empty for a frame
	DetectMillis    float64 // how long detection took
	Faces           int32
	Cooled          bool     // it has faces and no files: they were stored before
	Events          []string // JSON objects of one line, one for each face
	Slots           []Slot   // in which it is the one that was kept; none without max_fps and cooldown
}

// Entry holds all files of one frame, or a row with the same pictures, or the files about
// a reject; a frame without a face has none. There is one Entry for every record, so that
// counting entries counts records.
type Entry struct {
	Tally
	Files []File
	Row   *table.Row // for WriteRows
}

// Written says what is now in the file system for one record. There is one
// Written for every Entry.
type Written struct {
	Tally
	Files       int32   // of a row, its pictures
	Bytes       int64   // of the files
	FirstMillis int64   // when the first file got its final name, since 1970; 0 without files
	Picture     string  // the first file's name below the root; empty without files
	Tables      []Table // with the first row of each
}
