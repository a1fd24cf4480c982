package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

func init() {
	beam.RegisterFunction(emptyLedger)
	beam.RegisterFunction(Merge)
	beam.RegisterType(reflect.TypeFor[ledgerFn]())
	beam.RegisterType(reflect.TypeFor[sumFn]())
	// Flink would decode a Ledger as a row, and not as the SDK encodes it.
	beam.RegisterCoder(reflect.TypeFor[Ledger](), encodeLedger, decodeLedger)
}

// Ledger is what became of a window's records. It is computed from what was
// written and rejected, never from what was meant, so a file that holds it
// proves the window. For every partition, Read = Decoded + Skipped + Sampled +
// the sum of Rejected, and Pictures are of FramesWithFaces - Cooled frames.
type Ledger struct {
	Run         Run         `json:"run"`
	Number      int64       `json:"number"` // of the window, counted from 1 in its Book
	Partitions  []Partition `json:"partitions"`
	FirstMillis int64       `json:"first_file_ms"` // when the first file was stored, since 1970; 0 without files
	Latest      Latest      `json:"latest"`
	Latency     Latency     `json:"latency,omitzero"` // of the pictures of dated records
	Tables      []Table     `json:"tables,omitempty"` // which hold the pictures of a window, if these are rows
	Detect      Latency     `json:"detect,omitzero"`  // how long detection took, of frames
	// Cameras are the faces of each camera, as its folder is named: of the first MostCameras
	// of these names, and of all others together as OtherCameras.
	Cameras map[string]int64 `json:"faces_by_camera,omitempty"`
	// Positions are where the group stands in every partition behind the window.
	Positions []Position `json:"positions,omitempty"`
}

// Latest is the picture of the frame that was taken last, by the record's
// timestamp. It is empty without pictures of dated records.
type Latest struct {
	TimestampMillis int64  `json:"timestamp_ms"`
	Picture         string `json:"picture"` // its name below the root
}

// Before reports whether m is later. Of two pictures of the same time, it is the one
// whose name comes last.
func (l Latest) Before(m Latest) bool {
	if l.Picture == "" || m.Picture == "" {
		return l.Picture == "" && m.Picture != ""
	}
	return cmp.Or(cmp.Compare(l.TimestampMillis, m.TimestampMillis), cmp.Compare(l.Picture, m.Picture)) < 0
}

// Run says whose window it was.
type Run struct {
	ID     string `json:"id"`    // Config.Run
	Group  string `json:"group"` // the consumer group whose offsets were committed
	Runner string `json:"runner"`
	// Settings are what the files depend on beside the records, and
	// SettingsSHA256 tells at a glance whether two windows had the same: it is
	// the hash of their compact JSON.
	Settings       json.RawMessage `json:"settings,omitempty"`
	SettingsSHA256 string          `json:"settings_sha256"`
	// TopicIDs are Kafka's own of the topics: one that was made anew has another, and its
	// records would have the names of others.
	TopicIDs map[string]string `json:"topic_ids,omitempty"`
}

// Partition is a ledger's part for one partition of one topic.
type Partition struct {
	record.TopicPartition
	From            int64            `json:"from_offset"`  // where the group stood; up to FirstOffset there is no record but lost ones
	FirstOffset     int64            `json:"first_offset"` // of the records read; means nothing without any
	LastOffset      int64            `json:"last_offset"`
	Offsets         []record.Range   `json:"offsets"`  // of the records read, in order; more than one if offsets between them are missing
	Pictures        []record.Range   `json:"pictures"` // of those, the ones of whose faces something was stored, be it only events
	Rejects         []record.Range   `json:"rejects"`  // and the ones with a file about why they were rejected
	Lost            []record.Range   `json:"lost"`     // offsets that Kafka had removed before they could be read
	Read            int64            `json:"records_read"`
	ReadBytes       int64            `json:"bytes_read"` // of their values
	Decoded         int64            `json:"frames_decoded"`
	Skipped         int64            `json:"skipped"`
	Sampled         int64            `json:"sampled"`  // passed over because of max_fps
	Rejected        map[string]int64 `json:"rejected"` // by reason, without the skipped ones
	FramesWithFaces int64            `json:"frames_with_faces"`
	Cooled          int64            `json:"cooled"` // of those, the ones not stored because of cooldown
	Faces           int64            `json:"faces"`
	Files           int64            `json:"files_written"` // without those about rejects
	Bytes           int64            `json:"bytes_written"`
	Events          int64            `json:"events"`          // lines of the window's file of events
	EventBytes      int64            `json:"events_bytes"`    // of these lines
	Slots           []Slot           `json:"slots,omitempty"` // what this window adds to those of Position; in order
}

// WriteLedger counts a window's two PCollection<Written>, of frames and of rejects,
// and writes the ledger for ReadWritten, also for a window without records. It counts
// only after Book.Keep: a job that has lost its driver may run on to its end while
// another run reads the same records. The PCollection<string> has its name.
func WriteLedger(s beam.Scope, cfg Config, window string, written, rejected beam.PCollection) beam.PCollection {
	s = s.Scope("store.WriteLedger")
	all := beam.Flatten(s,
		beam.ParDo(s, emptyLedger, beam.Impulse(s)),
		beam.ParDo(s, &sumFn{}, written),
		beam.ParDo(s, &sumFn{}, rejected),
	)
	return beam.ParDo(s, &ledgerFn{Config: cfg, Window: window}, beam.Combine(s, Merge, all))
}

// sumFn adds up the ledgers of records where these are written, so that few pass the
// runner. To add each to the whole window's would take time by the square of its records.
type sumFn struct {
	sum   Ledger
	count int
}

// sumOf is of how many records there is one ledger, or one element of events.
const sumOf = 256

func (fn *sumFn) StartBundle(func(Ledger)) { fn.sum, fn.count = Ledger{}, 0 }

func (fn *sumFn) ProcessElement(w Written, emit func(Ledger)) {
	fn.sum = Merge(fn.sum, ledgerOfWritten(w))
	if fn.count++; fn.count == sumOf {
		fn.FinishBundle(emit)
	}
}

func (fn *sumFn) FinishBundle(emit func(Ledger)) {
	if fn.count > 0 {
		emit(fn.sum)
	}
	fn.sum, fn.count = Ledger{}, 0
}

// ReadWritten reads what WriteLedger wrote.
func ReadWritten(ctx context.Context, cfg Config, window string) (Ledger, error) {
	return readLedger(ctx, cfg, pending(cfg, window+ledgerExtension))
}

func readLedger(ctx context.Context, cfg Config, name string) (l Ledger, err error) {
	return l, readJSON(ctx, cfg, name, &l)
}

func putLedger(ctx context.Context, cfg Config, name string, l Ledger) error {
	if err := cfg.putJSON(ctx, name, l, indented); err != nil {
		return fmt.Errorf("writing the window's ledger: %w", err)
	}
	return nil
}

// pending is the name of a file of a window before it is kept.
func pending(cfg Config, file string) string { return path.Join(tmpDir, cfg.Run, file) }

type ledgerFn struct {
	Config Config
	Window string
}

func (fn *ledgerFn) ProcessElement(ctx context.Context, l Ledger) (string, error) {
	name := pending(fn.Config, fn.Window+ledgerExtension)
	return name, putLedger(ctx, fn.Config, name, l)
}

func emptyLedger([]byte) Ledger { return Ledger{} }

func ledgerOfWritten(w Written) Ledger {
	p := Partition{
		TopicPartition: w.TopicPartition, FirstOffset: w.Offset, LastOffset: w.Offset, Offsets: []record.Range{w.Range()},
		Read: 1, ReadBytes: w.Size, Slots: w.Slots,
	}
	switch {
	case w.Rejected == "":
		return ledgerOfFrame(w, p)
	case frame.Skips(w.Rejected):
		p.Skipped = 1
	case w.Rejected == frame.Sampled:
		p.Sampled = 1
	default:
		p.Rejected, p.Rejects = map[string]int64{w.Rejected: 1}, p.Offsets
	}
	return Ledger{Partitions: []Partition{p}}
}

func ledgerOfFrame(w Written, p Partition) Ledger {
	p.Decoded, p.Faces, p.Files, p.Bytes = 1, int64(w.Faces), int64(w.Files), w.Bytes
	for _, line := range w.Events {
		p.Events++
		p.EventBytes += int64(len(line) + len("\n"))
	}
	if w.Faces > 0 {
		p.FramesWithFaces = 1
	}
	if w.Faces > 0 && !w.Cooled {
		p.Pictures = p.Offsets
	}
	if w.Cooled {
		p.Cooled = 1
	}
	l := Ledger{Partitions: []Partition{p}, FirstMillis: w.FirstMillis, Tables: w.Tables, Detect: latencyOf(w.DetectMillis)}
	if w.Faces > 0 {
		l.Cameras = map[string]int64{escape(w.Camera): p.Faces}
	}
	if w.Picture != "" && record.Dated(w.TimestampMillis) {
		l.Latency = latencyOf(float64(w.FirstMillis - w.TimestampMillis))
		l.Latest = Latest{w.TimestampMillis, w.Picture}
	}
	return l
}

func encodeLedger(l Ledger) ([]byte, error) { return json.Marshal(l) }

func decodeLedger(data []byte) (l Ledger, err error) {
	err = json.Unmarshal(data, &l)
	return l, err
}

// Merge adds two ledgers; the run is a's. It changes neither: a runner may use
// an accumulator again.
func Merge(a, b Ledger) Ledger {
	out := Ledger{Run: a.Run, Partitions: slices.Clone(a.Partitions), FirstMillis: a.FirstMillis, Latest: a.Latest, Latency: a.Latency.Plus(b.Latency),
		Detect: a.Detect.Plus(b.Detect), Cameras: mergeCameras(a.Cameras, b.Cameras)}
	if len(a.Tables)+len(b.Tables) > 0 {
		out.Tables = slices.Concat(a.Tables, b.Tables)
		slices.SortFunc(out.Tables, func(a, b Table) int { return strings.Compare(a.File, b.File) })
	}
	if out.Latest.Before(b.Latest) {
		out.Latest = b.Latest
	}
	if out.FirstMillis == 0 || b.FirstMillis != 0 && b.FirstMillis < out.FirstMillis {
		out.FirstMillis = b.FirstMillis
	}
	for _, p := range b.Partitions {
		i, found := slices.BinarySearchFunc(out.Partitions, p.TopicPartition, comparePartition)
		if !found {
			out.Partitions = slices.Insert(out.Partitions, i, p)
			continue
		}
		out.Partitions[i] = out.Partitions[i].plus(p)
	}
	return out
}

// How many cameras a ledger tells apart, and what stands for the others. No folder has that
// name.
const (
	MostCameras  = 100
	OtherCameras = "(others)"
)

// mergeCameras adds two. A name that is among the first of all is among those of each part,
// so it has all of its faces.
func mergeCameras(a, b map[string]int64) map[string]int64 {
	if len(a)+len(b) == 0 {
		return nil
	}
	sum := map[string]int64{}
	maps.Copy(sum, a)
	for name, n := range b {
		sum[name] += n
	}
	if len(sum) <= MostCameras {
		return sum
	}
	names := slices.Sorted(maps.Keys(sum))
	names = slices.DeleteFunc(names, func(name string) bool { return name == OtherCameras })
	for _, name := range names[min(len(names), MostCameras):] {
		sum[OtherCameras] += sum[name]
		delete(sum, name)
	}
	return sum
}

// AddLost counts offsets of a partition that were gone before they could be
// read.
func (l *Ledger) AddLost(lost record.Offsets) {
	i, found := slices.BinarySearchFunc(l.Partitions, lost.TopicPartition, comparePartition)
	if !found {
		l.Partitions = slices.Insert(l.Partitions, i, Partition{TopicPartition: lost.TopicPartition})
	}
	l.Partitions[i].Lost = record.Merge(l.Partitions[i].Lost, lost.Ranges)
}

// Lost returns how many offsets were gone before they could be read.
func (l Ledger) Lost() (n int64) {
	for _, p := range l.Partitions {
		n += record.Count(p.Lost)
	}
	return n
}

// Counts is a ledger without what grows with its records.
func (l Ledger) Counts() Ledger {
	l.Positions, l.Tables, l.Partitions = nil, nil, slices.Clone(l.Partitions)
	for i, p := range l.Partitions {
		l.Partitions[i] = p.counts()
	}
	return l
}

// counts is a partition without what grows with its records.
func (p Partition) counts() Partition {
	p.Offsets, p.Pictures, p.Rejects, p.Lost, p.Slots = nil, nil, nil, nil, nil
	return p
}

// Sum adds the counts of all partitions; its offsets mean nothing.
func (l Ledger) Sum() Partition {
	var sum Partition
	for _, p := range l.Partitions {
		sum = sum.plus(p.counts())
	}
	return sum
}

// RejectedSum is how many records were rejected, for whatever reason.
func (p Partition) RejectedSum() (n int64) {
	for _, k := range p.Rejected {
		n += k
	}
	return n
}

func (p Partition) plus(q Partition) Partition {
	p.From = min(p.From, q.From)
	switch {
	case p.Read == 0:
		p.FirstOffset, p.LastOffset = q.FirstOffset, q.LastOffset
	case q.Read > 0:
		p.FirstOffset = min(p.FirstOffset, q.FirstOffset)
		p.LastOffset = max(p.LastOffset, q.LastOffset)
	}
	p.Offsets = record.Merge(p.Offsets, q.Offsets)
	p.Pictures = record.Merge(p.Pictures, q.Pictures)
	p.Rejects = record.Merge(p.Rejects, q.Rejects)
	p.Lost = record.Merge(p.Lost, q.Lost)
	p.Slots = mergeSlots(p.Slots, q.Slots)
	p.Read += q.Read
	p.ReadBytes += q.ReadBytes
	p.Decoded += q.Decoded
	p.Skipped += q.Skipped
	p.Sampled += q.Sampled
	p.FramesWithFaces += q.FramesWithFaces
	p.Cooled += q.Cooled
	p.Faces += q.Faces
	p.Files += q.Files
	p.Bytes += q.Bytes
	p.Events += q.Events
	p.EventBytes += q.EventBytes
	rejected := map[string]int64{}
	maps.Copy(rejected, p.Rejected)
	for reason, n := range q.Rejected {
		rejected[reason] += n
	}
	p.Rejected = rejected
	return p
}

func comparePartition(p Partition, id record.TopicPartition) int { return p.Compare(id) }
