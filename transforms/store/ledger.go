package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"facestream/transforms/frame"
)

func init() {
	register.Function1x1(emptyLedger)
	register.Function1x1(ledgerOfWritten)
	register.Function1x1(ledgerOfReject)
	register.Function2x1(Merge)
	register.DoFn2x1[context.Context, Ledger, error](&ledgerFn{})
	// Without it, a Ledger is a row to Beam, and Flink, which takes rows apart,
	// does not read this one as the SDK writes it.
	beam.RegisterCoder(reflect.TypeFor[Ledger](), encodeLedger, decodeLedger)
}

// ledgerFolder holds a window's ledger each, below the root.
const ledgerFolder = "_windows"

// Ledger is what became of a window's records. It is computed from what was
// written and rejected, never from what was meant, so a file that holds it
// proves the window. For every partition, Read = Decoded + Skipped + the sum
// of Rejected.
type Ledger struct {
	Partitions  []Partition `json:"partitions"`
	FirstMillis int64       `json:"first_file_ms"` // when the first file was stored, since 1970; 0 without files
}

// Partition is a ledger's part for one partition of one topic.
type Partition struct {
	Topic           string           `json:"topic"`
	Partition       int32            `json:"partition"`
	FirstOffset     int64            `json:"first_offset"`
	LastOffset      int64            `json:"last_offset"`
	Offsets         []Range          `json:"offsets"` // of the records read, in order; more than one if offsets between them are missing
	Read            int64            `json:"records_read"`
	Decoded         int64            `json:"frames_decoded"`
	Skipped         int64            `json:"skipped"`
	Rejected        map[string]int64 `json:"rejected"` // by reason, without the skipped ones
	FramesWithFaces int64            `json:"frames_with_faces"`
	Faces           int64            `json:"faces"`
	Files           int64            `json:"files_written"`
	Bytes           int64            `json:"bytes_written"`
}

// Range is consecutive offsets, the last one included.
type Range struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// WriteLedger counts a window's PCollection<Written> and
// PCollection<frame.Reject>, and writes the ledger for KeepLedger, also for a
// window without records. It does not count yet: a job that has lost its driver
// may run on to its end, and another run reads the same records again.
func WriteLedger(s beam.Scope, cfg Config, window string, written, rejects beam.PCollection) {
	s = s.Scope("store.WriteLedger")
	all := beam.Flatten(s,
		beam.ParDo(s, emptyLedger, beam.Impulse(s)),
		beam.ParDo(s, ledgerOfWritten, written),
		beam.ParDo(s, ledgerOfReject, rejects),
	)
	beam.ParDo0(s, &ledgerFn{Config: cfg, Window: window}, beam.Combine(s, Merge, all))
}

// KeepLedger makes what WriteLedger wrote the window's ledger,
// <root>/_windows/<window>.json, and returns it.
func KeepLedger(ctx context.Context, cfg Config, window string) (Ledger, error) {
	fs, err := filesystem.New(ctx, cfg.Root)
	if err != nil {
		return Ledger{}, err
	}
	defer fs.Close()
	written, kept := join(cfg.Root, writtenLedger(window)), join(cfg.Root, ledgerName(window))
	err = inFolder(ctx, fs, kept, func() error { return filesystem.Rename(ctx, fs, written, kept) })
	if err != nil {
		return Ledger{}, fmt.Errorf("keeping the window's ledger: %w", err)
	}
	return ReadLedger(ctx, cfg, window)
}

// ReadLedger reads what KeepLedger kept.
func ReadLedger(ctx context.Context, cfg Config, window string) (Ledger, error) {
	fs, err := filesystem.New(ctx, cfg.Root)
	if err != nil {
		return Ledger{}, err
	}
	defer fs.Close()
	path := join(cfg.Root, ledgerName(window))
	data, err := filesystem.Read(ctx, fs, path)
	if err != nil {
		return Ledger{}, fmt.Errorf("reading the window's ledger: %w", err)
	}
	var l Ledger
	if err := json.Unmarshal(data, &l); err != nil {
		return Ledger{}, fmt.Errorf("reading the window's ledger %s: %w", path, err)
	}
	return l, nil
}

// RemoveLedger removes what KeepLedger kept.
func RemoveLedger(ctx context.Context, cfg Config, window string) error {
	fs, err := filesystem.New(ctx, cfg.Root)
	if err != nil {
		return err
	}
	defer fs.Close()
	return remove(ctx, fs, join(cfg.Root, ledgerName(window)))
}

func ledgerName(window string) string { return ledgerFolder + "/" + window + ".json" }

// writtenLedger is the ledger's name before it is kept.
func writtenLedger(window string) string { return tmpDir + "/" + window + ".json" }

type ledgerFn struct {
	Config Config
	Window string
}

func (fn *ledgerFn) ProcessElement(ctx context.Context, l Ledger) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	fs, err := filesystem.New(ctx, fn.Config.Root)
	if err != nil {
		return err
	}
	defer fs.Close()
	if err := put(ctx, fs, fn.Config.Root, writtenLedger(fn.Window), append(data, '\n')); err != nil {
		return fmt.Errorf("writing the window's ledger: %w", err)
	}
	return nil
}

func emptyLedger([]byte) Ledger { return Ledger{} }

func ledgerOfWritten(w Written) Ledger {
	p := Partition{
		Topic: w.Topic, Partition: w.Partition, FirstOffset: w.Offset, LastOffset: w.Offset, Offsets: []Range{{w.Offset, w.Offset}},
		Read: 1, Decoded: 1, Faces: int64(w.Faces), Files: int64(w.Files), Bytes: w.Bytes,
	}
	if w.Faces > 0 {
		p.FramesWithFaces = 1
	}
	return Ledger{Partitions: []Partition{p}, FirstMillis: w.FirstMillis}
}

func ledgerOfReject(r frame.Reject) Ledger {
	p := Partition{
		Topic: r.Topic, Partition: r.Partition, FirstOffset: r.Offset, LastOffset: r.Offset, Offsets: []Range{{r.Offset, r.Offset}},
		Read: 1,
	}
	if r.Skipped() {
		p.Skipped = 1
	} else {
		p.Rejected = map[string]int64{r.Reason: 1}
	}
	return Ledger{Partitions: []Partition{p}}
}

func encodeLedger(l Ledger) ([]byte, error) { return json.Marshal(l) }

func decodeLedger(data []byte) (Ledger, error) {
	var l Ledger
	err := json.Unmarshal(data, &l)
	return l, err
}

// Merge adds two ledgers. It changes neither: a runner may use an
// accumulator again.
func Merge(a, b Ledger) Ledger {
	out := Ledger{Partitions: slices.Clone(a.Partitions), FirstMillis: a.FirstMillis}
	if out.FirstMillis == 0 || b.FirstMillis != 0 && b.FirstMillis < out.FirstMillis {
		out.FirstMillis = b.FirstMillis
	}
	for _, p := range b.Partitions {
		i, found := slices.BinarySearchFunc(out.Partitions, p, comparePartitions)
		if !found {
			out.Partitions = slices.Insert(out.Partitions, i, p)
			continue
		}
		out.Partitions[i] = out.Partitions[i].plus(p)
	}
	return out
}

// Sum adds the counts of all partitions; its offsets mean nothing.
func (l Ledger) Sum() Partition {
	var sum Partition
	for _, p := range l.Partitions {
		p.Offsets = nil
		sum = sum.plus(p)
	}
	return sum
}

func (p Partition) plus(q Partition) Partition {
	p.FirstOffset = min(p.FirstOffset, q.FirstOffset)
	p.LastOffset = max(p.LastOffset, q.LastOffset)
	p.Offsets = mergeRanges(p.Offsets, q.Offsets)
	p.Read += q.Read
	p.Decoded += q.Decoded
	p.Skipped += q.Skipped
	p.FramesWithFaces += q.FramesWithFaces
	p.Faces += q.Faces
	p.Files += q.Files
	p.Bytes += q.Bytes
	p.Rejected = maps.Clone(p.Rejected)
	if p.Rejected == nil {
		p.Rejected = map[string]int64{}
	}
	for reason, n := range q.Rejected {
		p.Rejected[reason] += n
	}
	return p
}

// mergeRanges returns the offsets of both, in order. It changes neither.
func mergeRanges(a, b []Range) []Range {
	out := make([]Range, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		if len(a) == 0 || len(b) > 0 && b[0].First < a[0].First {
			a, b = b, a
		}
		next := a[0]
		a = a[1:]
		if last := len(out) - 1; last >= 0 && next.First <= out[last].Last+1 {
			out[last].Last = max(out[last].Last, next.Last)
		} else {
			out = append(out, next)
		}
	}
	return out
}

func comparePartitions(a, b Partition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}
