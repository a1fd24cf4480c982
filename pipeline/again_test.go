package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/camera/video"
	"facestream/internal/record"
	"facestream/internal/run"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

func init() {
	beam.RegisterType(reflect.TypeFor[passOverFn]())
}

// passOverFn passes records over, as a runner may that has lost a part of them and reads again.
type passOverFn struct {
	Records []string // as recordName has it
}

func (fn *passOverFn) ProcessElement(r kafka.Record, emit func(kafka.Record)) {
	if !slices.Contains(fn.Records, recordName(r.Topic, r.Partition, r.Offset)) {
		emit(r)
	}
}

// When a runner has passed records over, with sampling others are kept in their place. The
// window is read again, and then what is there is what should be. What an attempt leaves that
// is in no ledger is named by verify, and purge removes it.
func TestSampledWindowIsReadAgain(t *testing.T) {
	const topic, n = "again", 48
	broker := testkit.FakeKafka(t).ListenAddrs()[0]
	log := samplingLog(rand.New(rand.NewPCG(9, 10)), n)
	send(t, newTopic(t, broker, topic, 2), sampledRecords(log, samplingValues(t, func(p video.Picture) []byte { return jpegOf(t, p) }))...)
	wantCounts, wantFiles := wantSampled(topic, log)
	passedOver := passOverFn{wantFiles[:len(wantFiles)/2]}
	for _, stored := range store.Stores {
		t.Run(stored, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "faces")
			endpoints := []string{"--kafka=" + broker, "--topics=" + topic, "--group=" + topic + stored, "--output=" + dir}
			attempts := 0
			build := func(s beam.Scope, w run.Window) error {
				records, err := read(s, w)
				if err != nil {
					return err
				}
				if attempts++; attempts == 1 {
					records = beam.ParDo(s, &passedOver, records)
				}
				process(s, w, records)
				return nil
			}
			summary, out := runBuilt(t, build, optionsFor(t, slices.Concat(samplingFlags, endpoints, []string{"--runner=direct", "--drain", "--store=" + stored})...))
			if !strings.Contains(out, "was passed over") || attempts != 2 {
				t.Errorf("%d attempts:\n%s", attempts, out)
			}
			if counted(*summary) != counted(wantCounts) {
				t.Errorf("%s; want %s", counted(*summary), counted(wantCounts))
			}
			if got := recordsIn(filesAndRows(t, dir)); !slices.Equal(got, wantFiles) {
				t.Errorf("there are files of %v; want %v", got, wantFiles)
			}
			state := "--state_dir=" + t.TempDir()
			verify := slices.Concat([]string{"verify", state, "--recheck=1000"}, endpoints)
			said(t, 0, "", verify...)

			left := log[slices.IndexFunc(log, func(r sampledRecord) bool {
				return r.shows == showsLeft && !slices.Contains(wantFiles, recordName(topic, r.partition, r.offset))
			})]
			id := recordName(topic, left.partition, left.offset)
			picture := filepath.Join(dir, store.Name{ID: record.In(topic, left.partition).At(left.offset), Camera: left.camera, TimestampMillis: left.millis}.Path())
			testkit.WriteFile(t, picture, []byte("left"))
			if said := said(t, 1, "the ledgers say that this record has none", verify...); !strings.Contains(said, id) {
				t.Error(said)
			}
			list := filepath.Join(t.TempDir(), "list")
			testkit.WriteFile(t, list, fmt.Appendf(nil, "%s+%d+%d\n", topic, left.partition, left.offset))
			said(t, 0, "", "purge", state, "--output="+dir, "--records="+list)
			said(t, 0, "", verify...)
		})
	}
}
