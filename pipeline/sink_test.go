package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/internal/run"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/store"
)

// ledgers returns those of an output: one for each group, set of topics, settings and hour.
func ledgers(t *testing.T, root string) (all []store.Ledger) {
	t.Helper()
	err := store.Books(t.Context(), store.Config{Root: root}, func(f store.BookFile) error {
		all = append(all, f.Ledgers...)
		return f.Err
	})
	testkit.Must(t, err)
	return all
}

// What Kafka's retention removed before the group read it is said, counted in
// the ledger, and no reason to stop, which --quiet does not hide. Afterwards nothing is lost
// any more, as --log_format=json says.
func TestRecordsLostToRetention(t *testing.T) {
	j := newJob(t, "expired", "heidi", "--runner=direct", "--duration=5m", "--drain")
	c, value := newTopic(t, j.Kafka, j.topic, 1), frames(t, feed.JPEG, 1)[0]
	sendSome := func(n int) {
		for range n {
			send(t, c, &kgo.Record{Value: value})
		}
	}
	sendSome(2)
	j.run(t) // stands at 2
	sendSome(8)
	first := kadm.Offsets{}
	first.AddOffset(j.topic, 0, 6, -1)
	testkit.Value(kadm.NewClient(c).DeleteRecords(t.Context(), first))(t)
	summary, said := runBuilt(t, Build, j.options(t, "--quiet"))
	if summary.RecordsRead != 4 || summary.RecordsLost != 4 || !strings.Contains(said, "\nlost: offsets 2 to 5 of partition 0 of topic "+j.topic) || strings.Count(said, "\n") != 2 {
		t.Errorf("summary %+v, and the run says:\n%s", summary, said)
	}
	var lost []record.Range
	for _, l := range ledgers(t, j.HDFS+j.dir) {
		for _, p := range l.Partitions {
			lost = append(lost, p.Lost...)
		}
	}
	if !slices.Equal(lost, []record.Range{{First: 2, Last: 5}}) {
		t.Errorf("the ledgers count %v as lost, want 2 to 5", lost)
	}
	sendSome(1)
	_, said = runBuilt(t, Build, j.options(t, "--log_format=json"))
	var lines []map[string]any
	for line := range strings.Lines(said) {
		var fields map[string]any
		testkit.Must(t, json.Unmarshal([]byte(line), &fields))
		lines = append(lines, fields)
	}
	last := lines[len(lines)-1]
	window, summed := lines[len(lines)-2], last["summary"].(map[string]any)
	if window["window"] != 1.0 || window["records_read"] != 1.0 || window["lag"] != 0.0 || summed["records_read"] != 1.0 || summed["records_lost"] != 0.0 || !strings.HasPrefix(last["msg"].(string), "DONE after ") {
		t.Errorf("the next run says\n%s", said)
	}
}

// Of two runs of one group, the second one is refused before it does anything, with who
// is at work; check says the same. A run that was killed is in nobody's way.
func TestSecondRunIsRefused(t *testing.T) {
	j := newJob(t, "one-writer", "ivan", "--runner=direct", "--drain")
	sent := sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, 4)
	first, _, err := store.Acquire(t.Context(), store.Config{Root: j.options(t).Output, Run: "the-first"}, j.topic, []string{j.topic})
	testkit.Must(t, err)
	before := slices.Sorted(maps.Keys(j.files(t)))
	for _, command := range [][]string{nil, {"check"}} {
		said(t, cli.ExitFailed, "topic "+j.topic+" is read by run the-first (process ", slices.Concat(command, j.endpoints(), j.flags, []string{"--state_dir=" + t.TempDir()})...)
	}
	if after := slices.Sorted(maps.Keys(j.files(t))); !slices.Equal(after, before) {
		t.Errorf("the refused run left %v", after)
	}
	first.Release(t.Context())
	if summary := j.run(t); summary.RecordsRead != int64(len(sent)) {
		t.Errorf("summary after the first run's end: %+v", summary)
	}
}

// A run whose lease another one has taken over ends, and keeps nothing of the window
// that is under way.
func TestRunThatLostItsLease(t *testing.T) {
	j := newJob(t, "lost-lease", "ivan", "--runner=direct", "--drain")
	sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, 4)
	o := j.options(t)
	build := func(s beam.Scope, w run.Window) error {
		client := testservices.DialHDFS(t, j.HDFS, "hdfs")
		lease := testkit.Value(client.ReadDir(j.dir + "/_leases"))(t)[0].Name()
		testkit.Must(t, client.Remove(j.dir+"/_leases/"+lease))
		other, _, err := store.Acquire(t.Context(), store.Config{Root: o.Output, Run: "another"}, j.topic, []string{j.topic})
		testkit.Must(t, err)
		t.Cleanup(func() { other.Release(context.WithoutCancel(t.Context())) })
		return Build(s, w)
	}
	summary, err := run.Run(t.Context(), o, build, t.TempDir(), io.Discard)
	if !errors.Is(err, store.ErrLost) || !strings.Contains(err.Error(), "run another") || summary.RecordsRead != 0 {
		t.Errorf("error %v, %d records", err, summary.RecordsRead)
	}
	if l := ledgers(t, o.Output); len(l) != 0 {
		t.Errorf("it kept %d ledgers", len(l))
	}
}

// Two runs into one folder at a time, of groups of their own: each keeps ledgers
// of all records, and the pictures are there once, as one run would have left
// them.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	const total = 60
	j := newJob(t, "twice", "ivan", "--runner=direct", "--duration=5m", "--drain", "--window_bytes=1048576")
	sent := sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, total)
	var runs sync.WaitGroup
	for _, group := range []string{"one", "two"} {
		o := j.options(t, "--group="+j.topic+"-"+group)
		runs.Go(func() {
			if summary, err := run.Run(t.Context(), o, Build, t.TempDir(), io.Discard); err != nil || summary.RecordsRead != total || summary.Windows < 2 {
				t.Errorf("group %s: %v, summary %+v", group, err, summary)
			}
		})
	}
	runs.Wait()
	if got := j.pictures(t); !slices.Equal(got, withFaces(sent)) {
		t.Errorf("pictures of %v, want %v", got, withFaces(sent))
	}
	ids := map[string]string{} // of the runs, by group
	read := map[string]int64{}
	for _, l := range ledgers(t, j.HDFS+j.dir) {
		ids[l.Run.Group] = l.Run.ID
		read[l.Run.Group] += l.Sum().Read
		if l.Run.Runner != "direct" || len(l.Run.SettingsSHA256) != 64 || !strings.Contains(string(l.Run.Settings), `"cascade_sha256"`) {
			t.Errorf("a ledger says of its run: %+v", l.Run)
		}
	}
	if want := map[string]int64{j.topic + "-one": total, j.topic + "-two": total}; !maps.Equal(read, want) {
		t.Errorf("records in ledgers by group: %v, want %v", read, want)
	}
	// The one that ended last has said so.
	var success struct {
		State string
		Run   store.Run
	}
	ended := j.files(t)["_SUCCESS"].data
	if err := json.Unmarshal(ended, &success); err != nil || success.State != "DONE" || !slices.Contains(slices.Collect(maps.Values(ids)), success.Run.ID) {
		t.Errorf("_SUCCESS: %s (%v)", ended, err)
	}
}

// Case 9: a camera may call itself anything; its pictures are below the root,
// under names that are written out here.
func TestHostileCameras(t *testing.T) {
	j := newJob(t, "hostile", "judy", "--runner=direct", "--duration=5m", "--drain")
	c, value := newTopic(t, j.Kafka, j.topic, 1), frames(t, feed.JPEG, 1)[0]
	var want []string
	for i, camera := range []struct{ name, folder string }{
		{"../../etc", "%2E.%2F..%2Fetc"},
		{"/", "%2F"},
		{"a\x00b", "a%00b"},
		{"a\nb", "a%0Ab"},
		{"Tür", "T%C3%BCr"},
		{"a+b", "a%2Bb"},
		{"_windows", "%5Fwindows"},
		{"", "unknown"},
		{strings.Repeat("c", 300), ""}, // cut, with a hash
	} {
		send(t, c, &kgo.Record{Value: value, Timestamp: time.UnixMilli(1_700_000_000_123), Headers: []kgo.RecordHeader{{Key: "camera", Value: []byte(camera.name)}}})
		if camera.folder != "" {
			want = append(want, path.Join(camera.folder, "2023/11/14/22", recordName(j.topic, 0, int64(i))+".jpg"))
		}
	}
	j.run(t)
	var got []string
	for name := range j.files(t) {
		if strings.HasPrefix(name, "ccc") {
			if folder, _, _ := strings.Cut(name, "/"); len(folder) > 200 || strings.Count(name, "/") != 5 {
				t.Errorf("the camera with 300 characters gave %s", name)
			}
		} else if !strings.HasPrefix(name, "_windows/") && !strings.HasPrefix(name, "_events/") && name != "_SUCCESS" {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	// All of one camera, then all that is old: what stays says where the group stands.
	for _, purge := range []struct{ flag, want string }{
		{"--camera=../../etc", "removed 1 pictures, 0 files about rejects, 1 events"},
		{"--camera=" + strings.Repeat("c", 300), "removed 1 pictures, 0 files about rejects, 1 events"},
		{"--older=30d", "removed 7 pictures, 0 files about rejects, 7 events"},
	} {
		said(t, 0, purge.want, "purge", purge.flag, "--user=judy", "--output="+j.HDFS+j.dir, "--state_dir="+t.TempDir())
		j.verify(t, "")
	}
	for name := range j.files(t) {
		if !strings.HasSuffix(name, "/hour.json") && name != "_SUCCESS" && name != store.PurgedFile {
			t.Errorf("%s was not purged", name)
		}
	}
	for _, outside := range []string{"/etc", "/user/etc", "/user/judy/etc"} {
		if files := hdfsFiles(t, j.HDFS, outside); len(files) > 0 {
			t.Errorf("there are files in %s", outside)
		}
	}
}
