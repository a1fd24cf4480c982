package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/camera/feed"
	"facestream/internal/run"
	"facestream/transforms/kafka"
)

func init() {
	beam.RegisterType(reflect.TypeFor[tallyFn]())
}

// tallyFn passes records on. It leaves a file in Dir for each, in a folder of the
// process that has seen it.
type tallyFn struct{ Dir string }

func (fn *tallyFn) ProcessElement(r kafka.Record, emit func(kafka.Record)) error {
	dir := filepath.Join(fn.Dir, fmt.Sprint(os.Getpid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	emit(r)
	return os.WriteFile(filepath.Join(dir, recordName(r.Topic, r.Partition, r.Offset)), nil, 0o644)
}

// On a cluster, both slots work on a window, also of one partition, whatever has read it.
func TestAllSlotsWork(t *testing.T) {
	addrs := allServices(t)
	const topic, total = "slots", 60
	_, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, topic, 1)
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, total)
	for _, name := range []string{"flink-cluster", "spark-cluster", "flink-cluster-native", "spark-cluster-native"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := optionsFor(t, append(everyWay(addrs)[name], "--kafka="+addrs.Kafka, "--topics="+topic, "--group=slots-"+name,
				"--output="+addrs.HDFS+"/user/erin/slots-"+name, "--user=erin", "--min_face=150", "--duration=5m", "--drain")...)
			build := func(s beam.Scope, w run.Window) error {
				records, err := read(s, w)
				if err == nil {
					process(s, w, beam.ParDo(s, &tallyFn{dir}, records))
				}
				return err
			}
			if _, err := run.Run(t.Context(), o, build, t.TempDir(), testWriter{t}); err != nil {
				t.Fatal(err)
			}
			workers, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(workers) != 2 {
				t.Fatalf("%d workers (%v), want 2", len(workers), err)
			}
			for _, worker := range workers {
				if seen, err := os.ReadDir(worker); err != nil || len(seen) < total/4 {
					t.Errorf("a worker has seen %d of %d records (%v), want a quarter at least", len(seen), total, err)
				}
			}
		})
	}
}

// testWriter writes lines to a test's log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
