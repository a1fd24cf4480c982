package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/runners/jobserver"
	"facestream/transforms/face"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// pythonPackages are what reads events and pictures in Python, and knows what Kubernetes takes.
var pythonPackages = []string{"duckdb==1.5.6", "kubernetes-validate==1.37.0", "pandas==2.3.3", "pyarrow==26.0.1"}

// Spark, DuckDB and pandas load the events and the pictures as docs/outputs.md says, whichever
// kind of window is the first: with and without crops, with and without landmarks, with
// undated records alone, and from cameras whose names look like numbers.
func TestReadEvents(t *testing.T) {
	t.Parallel()
	program := python(t)
	cascade := []string{"--min_face=100", "--scale_factor=1.3"}
	const withPicture = 3
	kinds := []eventsWindow{
		{"frame,events", "door", 1_700_000_000_123, cascade},
		{"crops,events", "door", 1_700_000_000_456, append(networkFlags(t), "--store=parquet")},
		{"events", "007", -1, cascade},
		withPicture: {"frame,annotated,crops,events", "007", 1_700_000_000_123_000, append(cascade, "--store=parquet")},
	}
	want := map[string][]int{"door": {2, 2, 1, 1}, "007": {2, 0, 1, 0}} // lines, dated, with crops, with landmarks
	var outputs []string
	for first := range kinds {
		// The offset of the record with a picture is in the folder's name.
		root := filepath.Join(t.TempDir(), fmt.Sprint("faces-", (withPicture-first+len(kinds))%len(kinds)))
		writeEvents(t, root, slices.Concat(kinds[first:], kinds[:first]))
		outputs = append(outputs, root)
	}
	blocks := codeOf(t, "../docs/outputs.md", "### Loading them")
	if len(blocks) != 6 {
		t.Fatalf("%d blocks of code, want those for Spark, DuckDB and pandas, of events and pictures", len(blocks))
	}
	for i := range blocks {
		blocks[i] = strings.NewReplacer(`'holiday'`, `'t'`, `"holiday"`, `"t"`, "partition = 2", "partition = 0", `"partition", "==", 2`, `"partition", "==", 0`).Replace(blocks[i])
	}
	into := t.TempDir()
	extracted(t.Context(), t, 0, "", outputs[0], "--into="+into, "--write=frame", "--camera=007")
	var picture []byte
	for _, picture = range localFiles(t, into) {
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(picture))
	wantPictures := map[string][]int{"door": {1, 1, 1, 0}, "007": {1, 0, 1, len(picture)}} // rows, dated, faces, bytes

	java, classPath := testkit.Value(paths.Java())(t), testkit.Value(paths.ClassPath(jobserver.Spark))(t)
	all := append(loaded(t, program, slices.Concat([]string{"testdata/read_events.py", blocks[1], blocks[2], blocks[4], blocks[5]}, outputs)...),
		loaded(t, java, slices.Concat(jvm.Small, jvm.AddOpens(), []string{"-cp", classPath, "testdata/ReadEvents.java", blocks[0], blocks[3]}, outputs)...)...)
	if len(all) != 3*len(outputs) {
		t.Errorf("%d times of %d it was read", len(all), 3*len(outputs))
	}
	types := map[string]map[string]string{} // by reader
	for _, got := range all {
		if !reflect.DeepEqual(got.Rows, want) {
			t.Errorf("%s: %s has %v by camera, want %v", got.Output, got.Reader, got.Rows, want)
		}
		if !reflect.DeepEqual(got.Pictures, wantPictures) || got.Saved != sum {
			t.Errorf("%s: %s has pictures %v, want %v; it saves one of SHA-256 %s, want %s", got.Output, got.Reader, got.Pictures, wantPictures, got.Saved, sum)
		}
		if types[got.Reader] == nil {
			types[got.Reader] = got.Types
			t.Logf("%s: %v", got.Reader, got.Types)
		}
		if !maps.Equal(got.Types, types[got.Reader]) {
			t.Errorf("%s: %s has other types than before: %v", got.Output, got.Reader, got.Types)
		}
		if want := eventValues(t, got.Output); got.Reader == "Spark" && !slices.Equal(got.Values, want) {
			t.Errorf("%s: Spark has\n%s\nwant\n%s", got.Output, strings.Join(got.Values, "\n"), strings.Join(want, "\n"))
		}
	}
	// Every field that a line has is a column of each.
	fields := func(reader string) []string { return slices.Sorted(maps.Keys(types[reader])) }
	if spark := fields("Spark"); !slices.Equal(fields("pandas"), spark) || !slices.Equal(fields("DuckDB"), spark) {
		t.Errorf("a line has the fields %q; Spark has the columns %q, DuckDB %q", fields("pandas"), spark, fields("DuckDB"))
	}
}

// loading is what a reader sees of an output.
type loading struct {
	Output, Reader string
	Rows, Pictures map[string][]int  // by camera
	Types          map[string]string // of events, by column
	Saved          string            // SHA-256 of a picture
	Values         []string          // of events, by Spark
}

// loaded runs a program that prints what it sees, a line of JSON for each output and reader.
func loaded(t *testing.T, program string, args ...string) (all []loading) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HADOOP_USER_NAME=erin")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	for line := range bytes.Lines(out) {
		if line[0] == '{' { // Spark may say more
			var l loading
			testkit.Must(t, json.Unmarshal(line, &l))
			all = append(all, l)
		}
	}
	return all
}

// eventsWindow is a window of one record with a face.
type eventsWindow struct {
	write, camera string
	millis        int64    // of the record
	detector      []string // flags
}

// writeEvents makes an output of windows, each of a run with settings of its own, some of
// one hour.
func writeEvents(t *testing.T, root string, windows []eventsWindow) {
	t.Helper()
	const topic = "t"
	value := samplingFrames(t)[showsLeft].BGR
	runner := testkit.Value(runners.Open(t.Context(), runners.Config{Name: runners.Direct}))(t)
	defer runner.Close()
	cfg := testStore(root)
	for i, one := range windows {
		o := optionsFor(t, append(one.detector, "--kafka=localhost:1", "--output="+root, "--write="+one.write)...)
		about := store.Run{ID: cfg.Run, Group: "g", Runner: runners.Direct}
		settings := testkit.Value(face.SettingsOf(o.Frame, o.Face, o.Write))(t)
		var err error
		about.Settings, about.SettingsSHA256, err = settings.JSON()
		testkit.Must(t, err)
		book := testkit.Value(store.OpenBook(t.Context(), cfg, about, []string{topic}, nil))(t)
		w := windowOf(o, cfg)
		w.Output.SettingsSHA256 = about.SettingsSHA256
		w.Name = store.UniqueName(time.Date(2026, 11, 24, 22, 40*i, 0, 0, time.UTC))
		key := []byte(one.camera)
		p, s := beam.NewPipelineWithRoot()
		process(s, w, beam.Create(s, kafka.Record{Topic: topic, Offset: int64(i), Timestamp: one.millis, Key: &key, Value: &value}))
		testkit.Must(t, runner.Run(t.Context(), w.Name, p))
		ledger := testkit.Value(store.ReadWritten(t.Context(), cfg, w.Name))(t)
		testkit.Value(book.Keep(t.Context(), w.Name, ledger, []record.ID{record.In(topic, 0).At(int64(i + 1))}))(t)
		testkit.Must(t, book.Gather(t.Context()))
	}
}

// eventValues returns some values of an output's events, in order.
func eventValues(t *testing.T, root string) (rows []string) {
	t.Helper()
	for name, data := range localFiles(t, root) {
		if !strings.HasPrefix(name, "_events/") {
			continue
		}
		for line := range bytes.Lines(data) {
			var e face.Event
			testkit.Must(t, json.Unmarshal(line, &e))
			rows = append(rows, fmt.Sprintf("%s %d %d %s %d %d %.6f", e.Topic, e.Offset, e.Face, e.Camera, e.Box.X, e.Box.Width, e.BoxNormalized.Width))
		}
	}
	slices.Sort(rows)
	return rows
}

// codeOf returns the blocks of code below a heading of a page, up to the next one.
func codeOf(t *testing.T, page, heading string) (blocks []string) {
	t.Helper()
	_, text, ok := strings.Cut(string(testkit.ReadFile(t, page)), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range regexp.MustCompile("(?s)\n```[a-z]+\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

var makePython sync.Mutex

// python returns a Python that has the packages. It is made once.
func python(t *testing.T) string {
	t.Helper()
	makePython.Lock()
	defer makePython.Unlock()
	if testing.Short() {
		t.Skip("downloads packages of Python")
	}
	root := testkit.Value(paths.Checkout())(t)
	dir := filepath.Join(root, "build", "python")
	program := filepath.Join(dir, "bin", "python3")
	stamp := filepath.Join(dir, "packages")
	if have, _ := os.ReadFile(stamp); string(have) == fmt.Sprint(pythonPackages) {
		return program
	}
	testkit.Must(t, os.RemoveAll(dir))
	for _, command := range [][]string{{"python3", "-m", "venv", dir}, append([]string{program, "-m", "pip", "install", "--quiet", "--no-compile"}, pythonPackages...)} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
	testkit.WriteFile(t, stamp, []byte(fmt.Sprint(pythonPackages)))
	return program
}
