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
	addrs := realServices(t)
	const topic, dir = "expired", "/user/heidi/expired"
	flags := []string{"--runner=direct", "--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic, "--user=heidi",
		"--output=" + addrs.HDFS + dir, "--duration=5m", "--drain", "--min_face=150", "--scale_factor=1.5"}
	c, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, topic, 1)
	value := frames(t, feed.JPEG, 1)[0]
	send := func(n int) {
		for range n {
			testkit.Must(t, c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr())
		}
	}
	send(2)
	runOnce(t, optionsFor(t, flags...)) // stands at 2
	send(8)
	first := kadm.Offsets{}
	first.AddOffset(topic, 0, 6, -1)
	if _, err := admin.DeleteRecords(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	summary := testkit.Value(run.Run(t.Context(), optionsFor(t, append(flags, "--quiet")...), Build, t.TempDir(), &out))(t)
	if summary.RecordsRead != 4 || summary.RecordsLost != 4 || !strings.Contains(out.String(), "\nlost: offsets 2 to 5 of partition 0 of topic expired") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("summary %+v, and the run says:\n%s", summary, out.String())
	}
	var lost []record.Range
	for _, l := range ledgers(t, addrs.HDFS+dir) {
		for _, p := range l.Partitions {
			lost = append(lost, p.Lost...)
		}
	}
	if !slices.Equal(lost, []record.Range{{First: 2, Last: 5}}) {
		t.Errorf("the ledgers count %v as lost, want 2 to 5", lost)
	}
	send(1)
	out.Reset()
	testkit.Value(run.Run(t.Context(), optionsFor(t, append(flags, "--log_format=json")...), Build, t.TempDir(), &out))(t)
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var fields map[string]any
		testkit.Must(t, json.Unmarshal([]byte(line), &fields))
		lines = append(lines, fields)
	}
	last := lines[len(lines)-1]
	window, summed := lines[len(lines)-2], last["summary"].(map[string]any)
	if window["window"] != 1.0 || window["records_read"] != 1.0 || window["lag"] != 0.0 || summed["records_read"] != 1.0 || summed["records_lost"] != 0.0 || !strings.HasPrefix(last["msg"].(string), "DONE after ") {
		t.Errorf("the next run says\n%s", out.String())
	}
}

// Of two runs of one group, the second one is refused before it does anything, with who
// is at work; check says the same. A run that was killed is in nobody's way.
func TestSecondRunIsRefused(t *testing.T) {
	addrs := realServices(t)
	const topic, dir = "one-writer", "/user/ivan/one-writer"
	sent := sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, 4)
	flags := []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic, "--user=ivan", "--output=" + addrs.HDFS + dir, "--runner=direct", "--drain"}
	cfg := store.Config{Root: optionsFor(t, flags...).Output, Run: "the-first"}
	first, _, err := store.Acquire(t.Context(), cfg, topic, []string{topic})
	testkit.Must(t, err)
	before := hdfsFiles(t, addrs.HDFS, dir)
	for _, command := range [][]string{nil, {"check"}} {
		var stdout, stderr strings.Builder
		status := program().Main(t.Context(), append(append(command, flags...), "--state_dir="+t.TempDir()), &stdout, &stderr)
		said := stdout.String() + stderr.String()
		if status != 2 || !strings.Contains(said, "topic one-writer is read by run the-first (process ") {
			t.Errorf("%v: exit status %d, want 2 and who is at work:\n%s", command, status, said)
		}
	}
	if after := hdfsFiles(t, addrs.HDFS, dir); !slices.Equal(slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before))) {
		t.Errorf("the refused run left %v", slices.Sorted(maps.Keys(after)))
	}
	first.Release(t.Context())
	if summary := runOnce(t, optionsFor(t, flags...)); summary.RecordsRead != int64(len(sent)) {
		t.Errorf("summary after the first run's end: %+v", summary)
	}
}

// A run whose lease another one has taken over ends, and keeps nothing of the window
// that is under way.
func TestRunThatLostItsLease(t *testing.T) {
	addrs := realServices(t)
	const topic, dir = "lost-lease", "/user/ivan/lost-lease"
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, 4)
	o := optionsFor(t, "--kafka="+addrs.Kafka, "--topics="+topic, "--group="+topic, "--user=ivan", "--output="+addrs.HDFS+dir, "--runner=direct", "--drain")
	build := func(s beam.Scope, w run.Window) error {
		client := superuser(t, addrs)
		names, err := client.ReadDir(dir + "/_leases")
		if err == nil {
			err = client.Remove(dir + "/_leases/" + names[0].Name())
		}
		if err != nil {
			return err
		}
		other, _, err := store.Acquire(t.Context(), store.Config{Root: o.Output, Run: "another"}, topic, []string{topic})
		if err != nil {
			return err
		}
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
	addrs := realServices(t)
	const topic, dir, total = "twice", "/user/ivan/twice", 60
	sent := sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, total)
	var runs sync.WaitGroup
	for _, group := range []string{"one", "two"} {
		runs.Go(func() {
			o := optionsFor(t, "--runner=direct", "--kafka="+addrs.Kafka, "--topics="+topic, "--group=twice-"+group, "--user=ivan",
				"--output="+addrs.HDFS+dir, "--duration=5m", "--drain", "--window_bytes=1048576")
			if summary, err := run.Run(t.Context(), o, Build, t.TempDir(), io.Discard); err != nil || summary.RecordsRead != total || summary.Windows < 2 {
				t.Errorf("group %s: %v, summary %+v", group, err, summary)
			}
		})
	}
	runs.Wait()
	files := hdfsFiles(t, addrs.HDFS, dir)
	if got := names(pictures(t, files, "ivan")); !slices.Equal(got, withFaces(sent)) {
		t.Errorf("pictures of %v, want %v", got, withFaces(sent))
	}
	ids := map[string]string{} // of the runs, by group
	read := map[string]int64{}
	for _, l := range ledgers(t, addrs.HDFS+dir) {
		ids[l.Run.Group] = l.Run.ID
		read[l.Run.Group] += l.Sum().Read
		if l.Run.Runner != "direct" || len(l.Run.SettingsSHA256) != 64 || !strings.Contains(string(l.Run.Settings), `"cascade_sha256"`) {
			t.Errorf("a ledger says of its run: %+v", l.Run)
		}
	}
	if want := map[string]int64{"twice-one": total, "twice-two": total}; !maps.Equal(read, want) {
		t.Errorf("records in ledgers by group: %v, want %v", read, want)
	}
	// The one that ended last has said so.
	var success struct {
		State string
		Run   store.Run
	}
	if err := json.Unmarshal(files["_SUCCESS"].data, &success); err != nil || success.State != "DONE" || !slices.Contains(slices.Collect(maps.Values(ids)), success.Run.ID) {
		t.Errorf("_SUCCESS: %s (%v)", files["_SUCCESS"].data, err)
	}
}

// Case 9: a camera may call itself anything; its pictures are below the root,
// under names that are written out here.
func TestHostileCameras(t *testing.T) {
	addrs := realServices(t)
	topic := testservices.Name("hostile")
	dir := "/user/judy/" + topic
	value := frames(t, feed.JPEG, 1)[0]
	c, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, topic, 1)
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
		r := &kgo.Record{Topic: topic, Value: value, Timestamp: time.UnixMilli(1_700_000_000_123), Headers: []kgo.RecordHeader{{Key: "camera", Value: []byte(camera.name)}}}
		testkit.Must(t, c.ProduceSync(t.Context(), r).FirstErr())
		if camera.folder != "" {
			want = append(want, path.Join(camera.folder, "2023/11/14/22", recordName(topic, 0, int64(i))+".jpg"))
		}
	}
	runOnce(t, optionsFor(t, "--runner=direct", "--kafka="+addrs.Kafka, "--topics="+topic, "--group="+topic, "--user=judy",
		"--output="+addrs.HDFS+dir, "--duration=5m", "--drain"))
	var got []string
	for name := range hdfsFiles(t, addrs.HDFS, dir) {
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
	endpoints := []string{"--user=judy", "--output=" + addrs.HDFS + dir, "--state_dir=" + t.TempDir()}
	command := func(args ...string) string {
		t.Helper()
		var said strings.Builder
		if status := program().Main(t.Context(), append(args, endpoints...), &said, &said); status != 0 {
			t.Errorf("%v: exit status %d\n%s", args, status, said.String())
		}
		return said.String()
	}
	for _, purge := range []struct{ flag, want string }{
		{"--camera=../../etc", "removed 1 pictures, 0 files about rejects, 1 events"},
		{"--camera=" + strings.Repeat("c", 300), "removed 1 pictures, 0 files about rejects, 1 events"},
		{"--older=30d", "removed 7 pictures, 0 files about rejects, 7 events"},
	} {
		if said := command("purge", purge.flag); !strings.HasPrefix(said, purge.want) {
			t.Errorf("purge %.20s says %q, want %q", purge.flag, said, purge.want)
		}
		command("verify", "--kafka="+addrs.Kafka, "--topics="+topic, "--group="+topic)
	}
	for name := range hdfsFiles(t, addrs.HDFS, dir) {
		if !strings.HasSuffix(name, "/hour.json") && name != "_SUCCESS" && name != store.PurgedFile {
			t.Errorf("%s was not purged", name)
		}
	}
	for _, outside := range []string{"/etc", "/user/etc", "/user/judy/etc"} {
		if files := hdfsFiles(t, addrs.HDFS, outside); len(files) > 0 {
			t.Errorf("there are files in %s", outside)
		}
	}
}
