package run

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// What a window that is read again has stored is taken back, but for what another group's
// ledger has, and unless another run has taken over.
func TestTakeBack(t *testing.T) {
	p := record.In("t", 0)
	broker := testkit.FakeKafka(t, kfake.SeedTopics(1, p.Topic)).ListenAddrs()[0]
	client, offsets := testkit.Kafka(t, broker), testkit.Value(kafka.Open(t.Context(), broker, "g", []string{p.Topic}))(t)
	defer offsets.Close()
	s := &session{offsets: offsets, window: Window{Store: store.Config{Root: t.TempDir(), Run: "r"}}}
	s.options.Sampling.Frames.MaxFPS = 1
	lease, ctx, err := store.Acquire(t.Context(), s.window.Store, "g", []string{p.Topic})
	testkit.Must(t, err)
	defer lease.Release(t.Context())
	s.lease = lease
	path := func(name string) string { return filepath.Join(s.window.Store.Root, name) }
	var names []string
	for n := range int64(5) {
		r := &kgo.Record{Topic: p.Topic, Key: []byte("door")}
		testkit.Must(t, client.ProduceSync(ctx, r).FirstErr())
		name := store.Name{ID: p.At(n), Camera: "door", TimestampMillis: r.Timestamp.UnixMilli()}
		names = append(names, name.Path())
		if n == 4 {
			names[n] = name.RejectPath()
		}
		testkit.WriteFile(t, path(names[n]), nil)
	}
	theirs := store.Hour{Hour: "2026-01-01T00", Number: 1, Ledgers: []store.Ledger{{Partitions: []store.Partition{{TopicPartition: p, Pictures: testkit.Ranges(2, 2)}}}}}
	testkit.WriteFile(t, path("_windows/h+t/hour.json"), testkit.Value(json.Marshal(theirs))(t))
	gap := &kafka.GapError{}
	mustLeave := func(why error, want ...string) {
		t.Helper()
		l := store.Ledger{Partitions: []store.Partition{{TopicPartition: p, Pictures: testkit.Ranges(1, 3), Rejects: testkit.Ranges(4, 4)}}}
		if err := s.takeBack(ctx, l, gap); !errors.Is(err, why) {
			t.Errorf("error %v, want %v", err, why)
		}
		left := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, err := os.Stat(path(name)); return err != nil })
		if !slices.Equal(left, want) {
			t.Errorf("left are %q, want %q", left, want)
		}
	}
	held := testkit.ReadFile(t, path("_leases/g+t.json"))
	testkit.WriteFile(t, path("_leases/g+t.json"), []byte("{}"))
	mustLeave(store.ErrLost, names...)
	testkit.WriteFile(t, path("_leases/g+t.json"), held)
	mustLeave(gap, names[0], names[2])
}
