package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/camera/feed"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

func init() {
	beam.RegisterType(reflect.TypeFor[failFn]())
}

// failFn passes records on, but fails on one: the first Times times that it
// sees it. Every attempt leaves a file in Dir, so that workers of any process
// count together.
type failFn struct {
	Dir    string
	Offset int64
	Times  int
}

func (fn *failFn) ProcessElement(r kafka.Record, emit func(kafka.Record)) error {
	if r.Offset == fn.Offset {
		attempts, err := os.ReadDir(fn.Dir)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(fn.Dir, fmt.Sprint(time.Now().UnixNano())), nil, 0o644); err != nil {
			return err
		}
		if len(attempts) < fn.Times {
			return fmt.Errorf("topic %s, partition %d, offset %d: told to fail", r.Topic, r.Partition, r.Offset)
		}
	}
	emit(r)
	return nil
}

// Case 12: when a DoFn fails once on a record, an engine that retries does the
// window all the same, and on the others the next job does; when it always
// fails, the job fails, naming the record, after a few attempts. Either way the
// pictures are exactly those of the records.
func TestDoFnFailsOnOneRecord(t *testing.T) {
	addrs := allServices(t)
	const total, bad, user = 8, 5, "grace"
	dir := "/user/" + user + "/" + testservices.Name("failing")
	jpegs := frames(t, feed.JPEG, total)
	var records []any
	var want []string // every third frame of the demo has no face
	for i, value := range jpegs {
		records = append(records, kafka.Record{Topic: "failing", Partition: 1, Offset: int64(i), Timestamp: 1_700_000_000_123, Value: &value})
		if i%3 != 2 {
			want = append(want, fmt.Sprintf("unknown/2023/11/14/22/failing+1+%020d.jpg", i))
		}
	}
	// How often an engine tries before it gives up: as its cluster is set up here.
	maxAttempts := map[string]int{"prism": 1, "flink-cluster": 4, "spark-cluster": 4}
	for name, attempts := range maxAttempts {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // an engine waits before it tries again
			o := optionsFor(t, append(onClusters(addrs)[name], "--kafka="+addrs.Kafka, "--output="+addrs.HDFS+path.Join(dir, name), "--user="+user)...)
			o.Runner.Dir = t.TempDir()
			r := testkit.Value(runners.Open(t.Context(), o.Runner))(t)
			defer r.Close()
			job := func(t *testing.T, fn *failFn, cfg store.Config) error {
				t.Helper()
				fn.Offset = bad
				p, s := beam.NewPipelineWithRoot()
				w := windowOf(o, cfg)
				w.Output = face.Output{Frame: true, Rows: attempts > 1}
				process(s, w, beam.ParDo(s, fn, beam.Create(s, records...)))
				return r.Run(t.Context(), "failing", p)
			}
			t.Run("once", func(t *testing.T) {
				fn, cfg := &failFn{Dir: t.TempDir(), Times: 1}, store.Config{Root: o.Output + "/once", Run: "test"}
				err := job(t, fn, cfg)
				if retries := attempts > 1; retries != (err == nil) {
					t.Fatalf("the job ended with %v; does the engine retry: %v", err, retries)
				}
				if err != nil {
					testkit.Must(t, job(t, fn, cfg)) // the next job
				}
				l, err := store.ReadWritten(t.Context(), cfg, "w")
				if err != nil || l.Sum().Read != total || l.Sum().Files != int64(len(want)) {
					t.Errorf("ledger %+v (%v), want %d records and %d files", l.Sum(), err, total, len(want))
				}
				var got []string
				for _, of := range l.Tables { // and not those of the attempt that failed
					for picture := range picturesIn(t, cfg, path.Join("_tmp", cfg.Run, path.Base(of.File))) {
						got = append(got, picture)
					}
				}
				testkit.Must(t, store.End(t.Context(), cfg))
				for file := range hdfsFiles(t, addrs.HDFS, path.Join(dir, name, "once")) {
					got = append(got, file)
				}
				if slices.Sort(got); !slices.Equal(got, want) {
					t.Errorf("files %v, want %v", got, want)
				}
			})
			t.Run("always", func(t *testing.T) {
				dir := t.TempDir()
				cfg := store.Config{Root: o.Output + "/always", Run: "test"}
				err := job(t, &failFn{Dir: dir, Times: 1000}, cfg)
				for _, part := range []string{"topic failing", "partition 1", "offset 5"} {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("the job ended with %v, want an error with %q", err, part)
					}
				}
				tried, rerr := os.ReadDir(dir)
				if rerr != nil || len(tried) != attempts {
					t.Errorf("tried %d times (%v), want %d", len(tried), rerr, attempts)
				}
				if l, err := store.ReadWritten(t.Context(), cfg, "w"); err == nil {
					t.Errorf("the failed job left a ledger: %+v", l)
				}
			})
		})
	}
}
