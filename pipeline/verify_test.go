package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/colinmarc/hdfs/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/audit"
	"facestream/internal/camera/feed"
	"facestream/internal/record"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

const recheckAll = "--recheck=1000"

// audited is what jobs leave in HDFS of a topic with two partitions, for verify to look at.
type audited struct {
	job
	client *hdfs.Client // as the user
	kafka  *kgo.Client
}

func newAudited(t *testing.T, name string) audited {
	t.Helper()
	j := newJob(t, name, "zoe", "--runner=direct", "--drain")
	return audited{j, testservices.DialHDFS(t, j.HDFS, j.user), newTopic(t, j.Kafka, j.topic, 2)}
}

// send sends six frames, of which four have faces, and four records of which no picture comes:
// two are skipped, two rejected.
func (a audited) send(t *testing.T, format string) {
	t.Helper()
	sendDemo(t, a.Kafka, a.topic, format, 0, 6)
	for i, value := range [][]byte{nil, make([]byte, 999), make([]byte, 5000), bytes.Repeat([]byte("no picture "), 1000)} {
		send(t, a.kafka, &kgo.Record{Partition: int32(i % 2), Value: value})
	}
}

// makeOld gives the only book's only ledger the form of an older version.
func (a audited) makeOld(t *testing.T) {
	t.Helper()
	name := a.names(t)[store.KindLedger][0]
	var hour store.Hour
	testkit.Must(t, json.Unmarshal(a.files(t)[name].data, &hour))
	l := hour.Ledgers[0]
	l.Number = 0
	a.write(t, "_windows/"+strings.TrimSuffix(path.Base(hour.Events[0].File), ".jsonl")+".json", testkit.Value(json.Marshal(l))(t))
	testkit.Must(t, a.client.RemoveAll(path.Join(a.dir, path.Dir(name))))
}

// names returns the names of all files by their kind, in order.
func (a audited) names(t *testing.T) map[store.Kind][]string {
	t.Helper()
	out := map[store.Kind][]string{}
	for _, name := range slices.Sorted(maps.Keys(a.files(t))) {
		kind, _ := store.KindOf(name)
		out[kind] = append(out[kind], name)
	}
	return out
}

func (a audited) remove(t *testing.T, name string) {
	t.Helper()
	testkit.Must(t, a.client.Remove(path.Join(a.dir, name)))
}

func (a audited) write(t *testing.T, name string, data []byte) {
	t.Helper()
	name = path.Join(a.dir, name)
	testkit.Must(t, a.client.MkdirAll(path.Dir(name), 0o755))
	root := strings.Replace(a.HDFS, "://", "://"+a.user+"@", 1)
	testkit.Must(t, filesystem.Write(t.Context(), testkit.Value(filesystem.New(t.Context(), root))(t), root+name, data))
}

// commit makes the group stand at an offset of each partition.
func (a audited) commit(t *testing.T, offset int64) {
	t.Helper()
	var next kadm.Offsets
	for p := range int32(2) {
		next.AddOffset(a.topic, p, offset, -1)
	}
	testkit.Must(t, kadm.NewClient(a.kafka).CommitAllOffsets(t.Context(), a.group, next))
}

// report runs facestream verify, and returns its report, which must fit the status.
func (a audited) report(t *testing.T, status int, flags ...string) (r audit.Report) {
	t.Helper()
	var stdout, stderr strings.Builder
	got := program().Main(t.Context(), slices.Concat([]string{"verify", "--json"}, a.endpoints(), flags), &stdout, &stderr)
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil || got != status || r.Agrees != (status == 0) || r.Agrees != (len(r.Problems) == 0) {
		t.Fatalf("status %d, want %d, %v: %s%s", got, status, err, &stdout, &stderr)
	}
	return r
}

// kinds counts problems by their kinds.
func kinds(r audit.Report) map[string]int {
	out := map[string]int{}
	for _, p := range r.Problems {
		out[p.Kind]++
	}
	return out
}

func TestVerify(t *testing.T) {
	t.Parallel()
	a := newAudited(t, "verify")
	// The second run reads with other settings than the first, which leaves what an older
	// version would have left.
	a.send(t, feed.JPEG)
	a.run(t, "--keep_rejects", "--write=frame,annotated,crops,events")
	a.makeOld(t)
	a.send(t, feed.Raw)
	a.run(t)
	r := a.report(t, 0, recheckAll)
	testkit.Equal(t, "what was rechecked", r.Recheck, &audit.Recheck{Records: 20})
	if r.Ledgers != 2 || len(r.Partitions) != 2 {
		t.Errorf("%d ledgers, partitions %+v", r.Ledgers, r.Partitions)
	}
	for _, p := range r.Partitions {
		if p.Records != 10 || p.Waiting != 0 || p.Committed == nil || *p.Committed != 10 || p.Pictures.Present != 4 || p.Rejects.Present != 2 {
			t.Errorf("partition %+v, want 10 records, 4 pictures, 2 rejects", p)
		}
	}
	files := a.names(t)
	pictures, rejects, kept, ledgers := files[store.KindPicture], files[store.KindReject], files[store.KindKept], files[store.KindLedger]
	annotated, crops, events := files[store.KindAnnotated], files[store.KindFace], files[store.KindEvents]
	if len(pictures) != 8 || len(rejects) != 4 || len(kept) != 2 || len(ledgers) != 2 || len(annotated) != 4 || len(crops) != 5 || len(events) != 2 {
		t.Fatalf("there are %v", files)
	}
	about := func(name string) string { // as a problem names it
		_, id := store.KindOf(name)
		return id.String()
	}
	second := strings.Replace(pictures[0], "demo/", "other/", 1)
	a.mustFind(t, []damage{
		{"a picture is gone", pictures[0], nil, nil, map[string]int{"picture_missing": 1}, about(pictures[0])},
		{"a picture has a wrong byte", pictures[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, pictures[0]},
		{"a picture is too many for its record", second, one, []string{recheckAll}, map[string]int{"picture_twice": 1, "ledger_bytes": 1, "differs": 1}, ""},
		{"an annotated picture has a wrong byte", annotated[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, annotated[0]},
		{"a crop has a wrong byte", crops[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, crops[0]},
		{"events are gone", events[0], nil, nil, map[string]int{"events_missing": 3}, ""},
		{"an event is another", events[1], func(data []byte) []byte {
			return bytes.Replace(data, []byte(`"face":1,`), []byte(`"face":2,`), 1)
		}, []string{recheckAll}, map[string]int{"differs": 1, "events_unknown": 1}, ""},
		{"a reject has a wrong byte", rejects[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, rejects[0]},
		{"the first ledger is gone", ledgers[0], nil, nil, map[string]int{
			"gap": 2, "picture_unknown": 4, "annotated_unknown": 4, "crop_unknown": 5, "events_unknown": 1, "reject_unknown": 2, "kept_reject_unknown": 2}, ""},
		{"a ledger is torn", ledgers[1], cut, nil, map[string]int{"ledger_unreadable": 1, "committed_unknown": 2, "picture_unknown": 4, "reject_unknown": 2}, ""},
		{"a crop is cut", crops[0], cut, nil, map[string]int{"ledger_bytes": 1}, "bytes_written"},
	})
	t.Run("a temporary file is old", func(t *testing.T) {
		const temporary = "_tmp/run/x"
		a.write(t, temporary, []byte("x"))
		old := time.Now().Add(-2 * store.TmpAge)
		testkit.Must(t, a.client.Chtimes(path.Join(a.dir, temporary), old, old))
		said(t, 1, "\n- _tmp/run/x was left by an attempt that is dead; the next run removes it\n1 problem\n", append([]string{"verify"}, a.endpoints()...)...)
		a.remove(t, temporary)
	})

	t.Run("another cascade", func(t *testing.T) {
		parity := testkit.Value(face.PresetFile(face.Parity))(t)
		another := filepath.Join(filepath.Dir(parity), "haarcascade_frontalface_default.xml")
		said(t, 2, "SHA-256", append([]string{"verify", recheckAll, "--cascade=" + another}, a.endpoints()...)...)
		a.report(t, 0, recheckAll, "--cascade="+another, "--cascade="+parity)
	})

	// What Kafka knows of the group makes no difference, and a run of another group that
	// finds nothing overwrites nothing: what the first runs' ledgers say still holds.
	t.Run("windows overlap", func(t *testing.T) {
		a.commit(t, 0)
		a.report(t, 0)
		a.run(t, "--group=another", "--keep_rejects", "--detector=fast", "--profile", "--min_face=1000")
		r := a.report(t, 0, recheckAll)
		if want := (audit.Recheck{Records: 20, Mixed: 20}); *r.Recheck != want || r.Ledgers != 3 {
			t.Errorf("%d ledgers, rechecked %+v, want 3 and %+v", r.Ledgers, r.Recheck, want)
		}
	})

	t.Run("a window is under way", func(t *testing.T) {
		a.send(t, feed.JPEG)
		if r := a.report(t, 0); r.Partitions[0].Waiting != 5 || r.Partitions[1].Waiting != 5 {
			t.Errorf("%+v, want 5 records to wait in each partition", r.Partitions)
		}
		a.write(t, store.Name{ID: record.In(a.topic, 0).At(11), Camera: "demo"}.Path(), []byte("x"))
		testkit.Equal(t, "the problems", kinds(a.report(t, 1)), map[string]int{"pending": 1})
		a.commit(t, 12)
		testkit.Equal(t, "the problems", kinds(a.report(t, 1)), map[string]int{"committed_unknown": 2, "picture_unknown": 1})
	})
}

// damage is what is done to a file, and what verify must say of it.
type damage struct {
	name   string
	file   string
	change func([]byte) []byte // nil removes it
	flags  []string
	want   map[string]int // problems by kind
	text   string         // in the problem, if it is one
}

// mustFind does each damage, and takes it back.
func (a audited) mustFind(t *testing.T, all []damage) {
	t.Helper()
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			data, err := a.client.ReadFile(path.Join(a.dir, d.file))
			if d.change == nil {
				a.remove(t, d.file)
			} else {
				a.write(t, d.file, d.change(bytes.Clone(data)))
			}
			r := a.report(t, min(len(d.want), 1), d.flags...)
			testkit.Equal(t, fmt.Sprintf("%+v", r.Problems), kinds(r), d.want)
			if len(r.Problems) == 1 && !strings.Contains(r.Problems[0].Text, d.text) {
				t.Errorf("%q does not name %q", r.Problems[0].Text, d.text)
			}
			if err == nil {
				a.write(t, d.file, data)
			} else {
				a.remove(t, d.file)
			}
		})
	}
	a.report(t, 0)
}

func cut(data []byte) []byte { return data[:len(data)/2] }

func flip(data []byte) []byte {
	data[len(data)/2] ^= 0xFF
	return data
}

// one makes a file of one byte.
func one([]byte) []byte { return []byte("x") }

// The exit status of verify says whether all agrees, or why nobody knows.
func TestVerifyStatus(t *testing.T) {
	t.Parallel()
	j := newJob(t, "status", "zoe")
	newTopic(t, j.Kafka, j.topic, 1)
	nobody, nowhere := j, j
	nobody.Kafka, nowhere.topic = "127.0.0.1:1", "nowhere"
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx    context.Context
		of     job
		flags  string
		status int
		want   string
	}{
		"help":          {t.Context(), j, "--help", 0, "Exit status"},
		"wrong setting": {t.Context(), j, "--recheck=-1", 2, "0 or more"},
		"no recheck":    {t.Context(), j, "--cascade=x.xml", 2, "--recheck=NUMBER, which is not set"},
		"no cascade":    {t.Context(), j, "--recheck=1 --model=/no/no", 2, "no such file"},
		"no topic":      {t.Context(), nowhere, "", 2, "nowhere"},
		"no broker":     {t.Context(), nobody, "", 1, "127.0.0.1:1"},
		"no folder":     {t.Context(), j, "", 2, "give the folder that a run was given"},
		"a file":        {t.Context(), j, "--output=verify_test.go", 2, "give the folder that a run was given"},
		"interrupted":   {cancelled, j, "", 130, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			saidBy(test.ctx, t, program(), test.status, test.want, slices.Concat([]string{"verify"}, test.of.endpoints(), strings.Fields(test.flags))...)
		})
	}
}

// Whatever is wrong with pictures that are rows is found, and named.
func TestVerifyRows(t *testing.T) {
	t.Parallel()
	a := newAudited(t, "verify-rows")
	for _, flags := range [][]string{{"--store=parquet", "--write=frame,annotated,crops,events"}, {"--store=parquet"}} {
		a.send(t, feed.JPEG)
		a.run(t, flags...)
	}
	r := a.report(t, 0, recheckAll)
	testkit.Equal(t, "what was rechecked", r.Recheck, &audit.Recheck{Records: 20})
	for _, p := range r.Partitions {
		if want := (audit.Files{Expected: 4, Present: 4}); p.Pictures != want || p.Annotated.Present != 2 || p.Crops.Present != 2 {
			t.Errorf("partition %+v, want 4 pictures, and 2 with all", p)
		}
	}
	tables := a.names(t)[store.KindTable]
	first := tables[0]
	rows := testkit.Value(a.client.ReadFile(path.Join(a.dir, first)))(t)
	if n := len(rowsOf(t, rows)); n != 8 || len(tables) != 1 {
		t.Fatalf("%d tables, of which the first has %d rows, want 8 in one", len(tables), n)
	}
	id := rowsOf(t, rows)[0].ID.String()
	changed := func(change func([]table.Row) []table.Row) func([]byte) []byte {
		return func(data []byte) []byte {
			var out bytes.Buffer
			testkit.Must(t, table.Write(&out, change(rowsOf(t, data))))
			return out.Bytes()
		}
	}
	a.mustFind(t, []damage{
		{"a table is cut", first, cut, nil, map[string]int{"table_unreadable": 1, "picture_missing": 6, "annotated_missing": 3, "crop_missing": 3}, first},
		{"a table is gone", first, nil, nil, map[string]int{"table_missing": 1, "picture_missing": 6, "annotated_missing": 3, "crop_missing": 3}, first},
		{"a table counts nowhere", path.Join(path.Dir(first), "20200101T000000.000Z-00000001+X.parquet"), func([]byte) []byte { return rows }, nil, map[string]int{"table_unknown": 1}, "20200101"},
		{"a row is gone", first, changed(func(rows []table.Row) []table.Row { return rows[1:] }), nil, map[string]int{"table_size": 1, "picture_missing": 1, "annotated_missing": 1, "crop_missing": 1}, ""},
		{"a row is there twice", first, changed(func(rows []table.Row) []table.Row { return append(rows[2:], rows[0], rows[0]) }), nil,
			map[string]int{"picture_missing": 1, "annotated_missing": 1, "crop_missing": 1, "picture_twice": 3, "ledger_bytes": 1}, ""},
		{"a picture is cut", first, changed(func(rows []table.Row) []table.Row {
			rows[0].Picture = rows[0].Picture[1:]
			return rows
		}), nil, map[string]int{"ledger_bytes": 1}, "bytes_written"},
		{"a picture has a wrong byte", first, changed(func(rows []table.Row) []table.Row {
			flip(rows[0].Picture)
			return rows
		}), []string{recheckAll}, map[string]int{"differs": 1}, id},
		{"a crop has a wrong byte", first, changed(func(rows []table.Row) []table.Row {
			flip(rows[0].Faces[0].Crop)
			return rows
		}), []string{recheckAll}, map[string]int{"differs": 1}, id},
		{"a disk has a wrong byte", first, flip, []string{recheckAll}, map[string]int{"differs": 1}, first},
		{"a face is elsewhere", first, changed(func(rows []table.Row) []table.Row {
			rows[0].Faces[0].Box.X++
			return rows
		}), nil, map[string]int{"row_differs": 1}, first},
		{"a face is gone", first, changed(func(rows []table.Row) []table.Row {
			rows[0].Faces, rows[0].Annotated = nil, nil
			return rows
		}), nil, map[string]int{"row_differs": 1, "annotated_missing": 1, "crop_missing": 1}, ""},
	})
}

// rowsOf returns the rows of a table with their pictures.
func rowsOf(t *testing.T, data []byte) (rows []table.Row) {
	t.Helper()
	f := testkit.Value(table.Open(bytes.NewReader(data), int64(len(data))))(t)
	for row, err := range f.Rows(math.MaxInt64) {
		testkit.Must(t, err)
		testkit.Must(t, f.AddPictures(&row))
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b table.Row) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return rows
}
