package run

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// What a window that is read again has stored is taken back, but for what another group's
// ledger has, and unless another run has taken over. If that ledger cannot be read, all stays;
// if one of the group's own, what it may have, which is what was read before.
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
	about := store.Run{ID: "r", Group: "g"}
	s.book = testkit.Value(store.OpenBook(ctx, s.window.Store, about, []string{p.Topic}, nil))(t)
	testkit.Value(s.book.Keep(ctx, "20260101T000000.000Z-00000001", store.Ledger{}, []record.ID{p.At(2)}))(t)
	var warned strings.Builder
	s.log = cli.NewLog(&warned, cli.LogPlain, slog.LevelWarn)
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
	const aside = "/20251231T235900.000Z-00000001.json.unreadable"
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
	testkit.WriteFile(t, path("_windows/h+t"+aside), []byte("{"))
	mustLeave(gap, names...)
	testkit.Says(t, "the run", errors.New(warned.String()), "stays: the ledger _windows/h+t/", "verify")
	testkit.Must(t, os.Remove(path("_windows/h+t"+aside)))
	testkit.WriteFile(t, path("_windows/g+t"+aside), []byte("{"))
	mustLeave(gap, names[0], names[1], names[2])
	testkit.Must(t, os.Remove(path("_windows/g+t"+aside)))
	mustLeave(gap, names[0], names[2])
}
