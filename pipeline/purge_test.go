package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/video"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/store"
)

// purgeScene is an output of which some records are old.
type purgeScene struct {
	topic  string // also the group
	stored string // --store
	dir    string
	flags  []string            // of Kafka
	names  map[string][]string // of its records, as those of files have them, by what is to become of them
}

const person = "../person"

// oldHour is that of the old records but those an hour later.
var oldHour = time.Date(2023, 11, 14, 22, 0, 0, 0, time.UTC)

// newPurgeScene makes an output of this machine: of old records, in an hour of the ledgers
// that is over, and of new ones, in the newest.
func newPurgeScene(t *testing.T, stored string) purgeScene {
	addrs := realServices(t)
	topic := testservices.Name(strings.ToLower(t.Name()) + "-" + stored)
	s := purgeScene{
		topic: topic, stored: stored, dir: filepath.Join(t.TempDir(), "faces"), names: map[string][]string{},
		flags: []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic, "--state_dir=" + t.TempDir()},
	}
	c := newTopic(t, addrs.Kafka, topic, 1)
	values := samplingValues(t, func(p video.Picture) []byte { return jpegOf(t, p) })
	add := func(kind, camera, shows string, at time.Time) {
		r := &kgo.Record{Key: []byte(camera), Timestamp: at, Value: values[shows]}
		send(t, c, r)
		s.names[kind] = append(s.names[kind], recordName(topic, 0, r.Offset))
	}
	add("old", "door", showsLeft, oldHour)
	add("their hour", person, showsLeft, oldHour)
	add("old", "door", showsBad, oldHour.Add(time.Minute))
	add("undated", "door", showsRight, time.UnixMilli(1))
	add("old", "door", showsNothing, oldHour.Add(time.Hour))
	add("their next hour", person, showsRight, oldHour.Add(time.Hour))
	s.run(t)
	// The window was that of the day of its records.
	books, err := filepath.Glob(filepath.Join(s.dir, "_windows/*/hour.json"))
	if err != nil || len(books) != 1 {
		t.Fatalf("there are %v, %v", books, err)
	}
	var hour store.Hour
	testkit.Must(t, json.Unmarshal(testkit.ReadFile(t, books[0]), &hour))
	const events = "_events/2023-11-14/20231114T230500.000Z-00000000.jsonl"
	testkit.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(s.dir, events)), 0o755))
	testkit.Must(t, os.Rename(filepath.Join(s.dir, hour.Events[0].File), filepath.Join(s.dir, events)))
	hour.Hour, hour.Events[0].File = "2023-11-14T23", events
	testkit.WriteFile(t, books[0], testkit.Value(json.Marshal(hour))(t))

	now := time.Now()
	add("new", "door", showsLeft, now)
	add("theirs now", person, showsLeft, now.Add(time.Millisecond))
	add("new", "door", showsBad, now)
	s.run(t)
	s.mustVerify(t, s.dir, "before")
	return s
}

// run reads what is waiting, and returns how many records that were.
func (s purgeScene) run(t *testing.T, more ...string) int64 {
	t.Helper()
	flags := slices.Concat(s.flags, []string{"--output=" + s.dir, "--runner=direct", "--drain", "--latest", "--min_face=100", "--scale_factor=1.3", "--write=frame,crops,events", "--keep_rejects", "--store=" + s.stored}, more)
	summary, _ := runBuilt(t, Build, optionsFor(t, flags...))
	return summary.RecordsRead
}

// copy returns a copy in which the undated pictures are old.
func (s purgeScene) copy(t *testing.T) purgeScene {
	t.Helper()
	from := s.dir
	s.dir = filepath.Join(t.TempDir(), "faces")
	testkit.Must(t, os.CopyFS(s.dir, os.DirFS(from)))
	undated := "door/undated/0/000"
	if s.stored == store.Parquet {
		undated = "_pictures/undated/*"
	}
	found := testkit.Value(filepath.Glob(filepath.Join(s.dir, undated)))(t)
	if len(found) != 1 {
		t.Fatalf("undated are %v", found)
	}
	testkit.Must(t, os.Chtimes(found[0], oldHour, oldHour))
	return s
}

func (s purgeScene) mustVerify(t *testing.T, dir, when string) {
	t.Helper()
	if said(t, 0, "", slices.Concat([]string{"verify"}, s.flags, []string{"--output=" + dir, "--recheck=100"})...); t.Failed() {
		t.Log(when)
	}
}

// mustLack checks that nothing is left of the records of some kinds, and everything of the
// others.
func (s purgeScene) mustLack(t *testing.T, dir, when string, kinds ...string) {
	t.Helper()
	before, after := filesAndRows(t, s.dir), filesAndRows(t, dir)
	event := func(files map[string][]byte, record string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(files)), func(data []byte) bool { return bytes.Contains(data, []byte(record+".face-1.jpg")) })
	}
	for kind, records := range s.names {
		gone := slices.Contains(kinds, kind)
		for _, record := range records {
			for name := range before {
				if _, there := after[name]; strings.Contains(name, record) && there == gone {
					t.Errorf("%s, %s, which is %s, is there: %v", when, name, kind, there)
				}
			}
			if event(before, record) && event(after, record) == gone {
				t.Errorf("%s, the event of %s, which is %s, is there: %v", when, record, kind, !gone)
			}
		}
	}
	for name := range after {
		if kind, _ := store.KindOf(name); kind == store.KindTemporary || kind == store.KindPurged && name != store.PurgedFile {
			t.Errorf("%s, %s is left", when, name)
		}
	}
}

// filesAndRows are the files, and the pictures in tables as if they were.
func filesAndRows(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := localFiles(t, dir)
	unpack(t, dir, files, func(_, name string, data []byte) { files[name] = data })
	return files
}

func month() time.Time { return time.Now().AddDate(0, 0, -30) }

// At whichever call of the file system a purge is killed: when it was done again, what was
// to go is gone, all else is there, and verify agrees.
func TestPurgeIsCompleted(t *testing.T) {
	t.Parallel()
	scenes := map[string]purgeScene{}
	for _, stored := range store.Stores {
		scenes[stored] = newPurgeScene(t, stored)
	}
	camera := person
	every := int64(11)
	if testkit.All() {
		every = 1
	}
	for name, tc := range map[string]struct {
		selection store.Selection
		gone      []string
	}{
		"age":    {store.Selection{To: month(), Aged: true}, []string{"old", "their hour", "their next hour", "undated"}},
		"person": {store.Selection{Camera: &camera}, []string{"their hour", "their next hour", "theirs now"}},
		"hour":   {store.Selection{Camera: &camera, From: oldHour, To: oldHour.Add(time.Hour)}, []string{"their hour"}},
	} {
		for stored, s := range scenes {
			if name == "hour" && stored == store.Parquet { // it is as with a person
				continue
			}
			t.Run(name+"/"+stored, func(t *testing.T) {
				t.Parallel()
				steps := int64(1)
				for ended := false; !ended; steps += every {
					dir := s.copy(t).dir
					ended = crash(t, crashingRun{Purge: &tc.selection, Dir: dir, Crash: steps})
					when := fmt.Sprintf("killed at call %d", steps)
					freed, err := store.Purge(t.Context(), store.Config{Root: dir, Run: "purge"}, tc.selection, nil, false, func(store.Freed) {})
					if err != nil || len(freed.Left) > 0 {
						t.Fatalf("%s: %+v, %v", when, freed, err)
					}
					s.mustLack(t, dir, when, tc.gone...)
					s.mustVerify(t, dir, when)
				}
				t.Logf("a purge makes some %d calls", steps-every)
			})
		}
	}
}

// A run removes what is old by itself, once a day, and knows where it stands when it has
// no ledger of that any more.
func TestRetain(t *testing.T) {
	s := newPurgeScene(t, store.Parquet)
	kept := s.copy(t)
	if n := kept.run(t, "--retain=30d"); n != 0 {
		t.Errorf("the run has read %d records", n)
	}
	old := []string{"old", "their hour", "their next hour", "undated"}
	s.mustLack(t, kept.dir, "after the run", old...)
	kept.mustVerify(t, kept.dir, "after the run")
	testkit.Value(os.Stat(filepath.Join(kept.dir, "_windows")))(t)
	testkit.Value(kadm.NewClient(testkit.Kafka(t, strings.TrimPrefix(s.flags[0], "--kafka="))).DeleteGroup(t.Context(), s.topic))(t)
	if n := kept.run(t); n != 0 {
		t.Errorf("a run whose offsets are gone has read %d records again", n)
	}
	kept.mustVerify(t, kept.dir, "after another run")
}

// The command: what it changes, what it says, and what it refuses.
func TestPurge(t *testing.T) {
	s := newPurgeScene(t, store.Files)
	purge := func(s purgeScene, status int, text string, flags ...string) string {
		t.Helper()
		return said(t, status, text, slices.Concat([]string{"purge", "--output=" + s.dir, "--state_dir=" + t.TempDir()}, flags)...)
	}
	dry := s.copy(t)
	said := purge(dry, 0, "would remove 8 pictures, 2 files about rejects, 4 events, the ledgers of 1 hours", "--older=30d", "--dry_run")
	if !maps.EqualFunc(localFiles(t, s.dir), localFiles(t, dry.dir), bytes.Equal) {
		t.Error("the dry run has changed something")
	}
	if again := purge(dry, 0, "", "--older=30d"); again != strings.Replace(said, "would remove", "removed", 1) {
		t.Errorf("dry, it says %q, and then %q", said, again)
	}
	purge(dry, 0, "removed 0 pictures, 0 files about rejects, 0 events, the ledgers of 0 hours", "--older=30d")

	// A list, with events kept: they stay until they are purged, too.
	list := filepath.Join(t.TempDir(), "list")
	testkit.WriteFile(t, list, []byte(s.topic+"+0+1\n\n"+s.names["new"][0]+"\n"))
	listed := s.copy(t)
	purge(listed, 0, "", "--records="+list, "--keep_events")
	listed.mustVerify(t, listed.dir, "with events kept")
	for _, kind := range []string{"their hour", "new"} {
		for name := range localFiles(t, listed.dir) {
			if strings.Contains(name, s.names[kind][0]) {
				t.Errorf("%s is there", name)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(listed.dir, "face.jpg")); err != nil { // it is of theirs now
		t.Error(err)
	}
	purge(listed, 0, "", "--records="+list)
	purge(listed, 0, "removed 0 pictures", "--records="+list)
	listed.mustVerify(t, listed.dir, "without")

	// Beside a run, what that still changes stays, and it says so.
	beside := s.copy(t)
	lease, _, err := store.Acquire(t.Context(), store.Config{Root: beside.dir, Run: "at-work"}, s.topic, []string{s.topic})
	testkit.Must(t, err)
	purge(beside, 1, "a run of group "+s.topic+" is at work", "--camera="+person)
	lease.Release(t.Context())
	purge(beside, 0, "", "--camera="+person)
	s.mustLack(t, beside.dir, "beside a run", "their hour", "their next hour", "theirs now")
	beside.mustVerify(t, beside.dir, "beside a run")
	if _, err := os.Stat(filepath.Join(beside.dir, "face.jpg")); err == nil {
		t.Error("face.jpg is a copy of a picture that was purged")
	}

	// What nobody knows of is not said to be gone.
	unknown := s.copy(t)
	book := testkit.Value(filepath.Glob(filepath.Join(unknown.dir, "_windows/*/hour.json")))(t)[0]
	testkit.WriteFile(t, book, []byte("{"))
	purge(unknown, 1, "hour.json cannot be read", "--camera="+person, "--dry_run")

	nowhere := s
	nowhere.dir = filepath.Join(t.TempDir(), "typo")
	if said := purge(nowhere, 2, "--output: ", "--older=30d"); !strings.Contains(said, "no such file") {
		t.Errorf("of a folder that is not there, it says %q", said)
	}
	for flags, text := range map[string]string{
		"":                                  "nothing says what to remove",
		"--older=3":                         "such as 30d",
		"--older=30d --to=2026-01-01":       "give one of them",
		"--from=2026-01-02 --to=2026-01-02": "there is no hour",
		"--from=yesterday":                  "such as 2026-11-24T09",
		"--camera=a --camera=b":             "purge once for each camera",
		"--records=" + list + ".not":        "no such file",
		"--records=purge_test.go":           "TOPIC+PARTITION+OFFSET",
		"--older=3d --output=purge_test.go": "give the folder that a run was given",
	} {
		purge(s, 2, text, strings.Fields(flags)...)
	}
}
