package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

const extractUser = "zoe"

// extracted has facestream extract from an output, as said runs a command.
func extracted(ctx context.Context, t *testing.T, status int, text, root string, flags ...string) string {
	t.Helper()
	return saidBy(ctx, t, program(), status, text, append([]string{"extract", "--output=" + root, "--user=" + extractUser, "--state_dir=" + t.TempDir()}, flags...)...)
}

// picturesOf returns the files of a tree that no underscore hides.
func picturesOf(t *testing.T, root string) map[string][]byte {
	t.Helper()
	files := localFiles(t, root)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return strings.HasPrefix(name, "_") })
	return files
}

func mustBeTree(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("there are %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// Both stores, here and in HDFS, give the tree that --store=files leaves, and a tar that
// has the events of each frame beside it.
func TestExtract(t *testing.T) {
	t.Parallel()
	cascade := []string{"--min_face=100", "--scale_factor=1.3", "--user=" + extractUser}
	parquet := append(slices.Clone(cascade), "--store=parquet")
	windows := func(detector []string) []eventsWindow {
		return []eventsWindow{
			{"frame,annotated,crops,events", "door", 1_700_000_000_123, detector},
			{"frame,events", "007", 1_700_003_600_000, detector},
			{"frame,crops,events", "a/b", -1, detector},
			{"crops,events", "door", 1_700_000_000_456, cascade},
		}
	}
	hdfs := strings.Replace(testservices.Start(t, services.Options{HDFS: true}).HDFS, "hdfs://", "hdfs://"+extractUser+"@", 1) + "/user/" + extractUser + "/" + testservices.Name("extract")
	files, rows := filepath.Join(t.TempDir(), "files"), filepath.Join(t.TempDir(), "rows")
	writeEvents(t, files, windows(cascade))
	all := picturesOf(t, files)
	if len(all) != 7 {
		t.Fatalf("the output has %q, want 7 pictures", slices.Sorted(maps.Keys(all)))
	}
	for _, root := range []string{rows, hdfs + "/files", hdfs + "/rows"} {
		detector := cascade
		if strings.HasSuffix(root, "rows") {
			detector = parquet
		}
		writeEvents(t, root, windows(detector))
	}
	for _, root := range []string{files, rows, hdfs + "/files", hdfs + "/rows"} {
		into := t.TempDir()
		extracted(t.Context(), t, 0, "frames: 4, files: 7", root, "--into="+into, "--write=frame,annotated,crops")
		mustBeTree(t, localFiles(t, into), all)
	}

	// What is known of a frame is what its events are.
	file := filepath.Join(t.TempDir(), "all.tar")
	extracted(t.Context(), t, 0, "", rows, "--tar="+file, "--write=frame,annotated,crops,events")
	lines := map[string]json.RawMessage{}
	for name, data := range localFiles(t, rows) {
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(name, "_events/") {
				var e struct{ Offset int64 }
				testkit.Must(t, json.Unmarshal([]byte(line), &e))
				lines[recordName("t", 0, e.Offset)] = []byte(strings.TrimSpace(line))
			}
		}
	}
	inTar := untar(t, file)
	for name, data := range inTar {
		if path.Ext(name) == ".json" {
			var events []json.RawMessage
			testkit.Must(t, json.Unmarshal(data, &events))
			if want := lines[strings.TrimSuffix(path.Base(name), ".json")]; len(events) != 1 || !bytes.Equal(events[0], want) {
				t.Errorf("%s has %s, want %s", name, data, want)
			}
			delete(inTar, name)
			delete(lines, strings.TrimSuffix(path.Base(name), ".json"))
		}
	}
	if len(lines) > 0 {
		t.Errorf("the tar lacks what is known of %q", slices.Sorted(maps.Keys(lines)))
	}
	mustBeTree(t, inTar, all)
}

// untar returns the files of a tar.
func untar(t *testing.T, file string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	in := tar.NewReader(bytes.NewReader(testkit.ReadFile(t, file)))
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		testkit.Must(t, err)
		if files[header.Name] != nil {
			t.Errorf("%s is in the tar twice", header.Name)
		}
		files[header.Name], err = io.ReadAll(in)
		testkit.Must(t, err)
	}
}

// Only what is asked for is copied, and nothing that is there is lost.
func TestExtractSome(t *testing.T) {
	t.Parallel()
	cascade := []string{"--min_face=100", "--scale_factor=1.3"}
	root := filepath.Join(t.TempDir(), "faces")
	const first = 1_700_000_000_123 // 2023-11-14T22:13:20.123Z
	writeEvents(t, root, []eventsWindow{
		{"frame,events", "door", first, cascade},
		{"frame,events", "door", first + 1, append(cascade, "--store=parquet")},
		{"frame,events", "gate", -1, append(cascade, "--store=parquet")},
	})
	list := filepath.Join(t.TempDir(), "list")
	testkit.WriteFile(t, list, []byte("t+0+2\n\nt+0+7\n"))
	ended, end := context.WithCancel(t.Context())
	end()
	link := filepath.Join(t.TempDir(), "stdout")
	testkit.Must(t, os.Symlink("/dev/null", link))
	for name, tc := range map[string]struct {
		flags  []string
		ctx    context.Context
		status int
		says   string
		want   []int64 // offsets
	}{
		"all":          {nil, nil, 0, "frames: 3", []int64{0, 1, 2}},
		"a camera":     {[]string{"--camera=gate"}, nil, 0, "frames: 1", []int64{2}},
		"cameras":      {[]string{"--camera=gate", "--camera=door"}, nil, 0, "frames: 3", []int64{0, 1, 2}},
		"from":         {[]string{"--from=2023-11-14T23:13:20.124+01:00"}, nil, 0, "frames: 1", []int64{1}},
		"to":           {[]string{"--from=2023-11-14", "--to=2023-11-14T22:13:20.124Z"}, nil, 0, "frames: 1", []int64{0}},
		"another hour": {[]string{"--from=2023-11-14T23:00"}, nil, 1, "no such picture", nil},
		"records":      {[]string{"--records=" + list}, nil, 1, "offset 7 of partition 0 of topic t", []int64{2}},
		"not stored":   {[]string{"--write=crops"}, nil, 1, "none of crops stored: 3", nil},
		"interrupted":  {nil, ended, 130, "interrupted", nil},
		"what":         {[]string{"--write=faces"}, nil, 2, `"faces" is none of`, nil},
		"a time":       {[]string{"--from=yesterday"}, nil, 2, "2026-11-24T09:30", nil},
		"no time":      {[]string{"--from=2023-11-14", "--to=2023-11-14"}, nil, 2, "before --to", nil},
		"no list":      {[]string{"--records=/nowhere"}, nil, 2, "/nowhere", nil},
		"neither":      {[]string{"--into="}, nil, 2, "either --into", nil},
		"no tar":       {[]string{"--into=", "--tar=/nope/x"}, nil, 2, "--tar=/nope/x: /nope is not a folder", nil},
		"no file":      {[]string{"--into=", "--replace", "--tar=" + link}, nil, 2, "or - for the standard output", nil},
		"a file":       {[]string{"--into=extract_test.go/x"}, nil, 2, "extract_test.go is a file", nil},
		"no output":    {[]string{"--output=/nowhere"}, nil, 2, "no run of facestream", nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := tc.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			into := t.TempDir()
			flags := append([]string{"--into=" + into}, tc.flags...)
			if !strings.Contains(strings.Join(flags, " "), "--write=") {
				flags = append(flags, "--write=frame")
			}
			extracted(ctx, t, tc.status, tc.says, root, flags...)
			var got []int64
			for name := range localFiles(t, into) {
				var offset int64
				testkit.Value(fmt.Sscanf(path.Base(name), "t+0+%d.jpg", &offset))(t)
				got = append(got, offset)
			}
			if slices.Sort(got); !slices.Equal(got, tc.want) {
				t.Errorf("offsets %v, want %v", got, tc.want)
			}
		})
	}

	into := t.TempDir()
	again := func(status int, says string, flags ...string) {
		t.Helper()
		extracted(t.Context(), t, status, says, root, append(flags, "--into="+into)...)
	}
	again(0, "frames: 3, files: 6")
	whole := localFiles(t, into)
	one := filepath.Join(into, slices.Sorted(maps.Keys(whole))[0])
	testkit.Must(t, os.Remove(one))
	again(0, "frames: 3, files: 6") // which completes it
	mustBeTree(t, localFiles(t, into), whole)
	testkit.WriteFile(t, one, []byte("mine"))
	again(1, one+" is there already")
	if data := testkit.ReadFile(t, one); string(data) != "mine" {
		t.Error("a file was replaced")
	}
	again(0, "frames: 3, files: 6", "--replace")
	mustBeTree(t, localFiles(t, into), whole)

	// A damaged picture is missed, and those of the other rows of its table are not.
	rows := filepath.Join(t.TempDir(), "rows")
	parquet := append(cascade, "--store=parquet")
	writeEvents(t, rows, []eventsWindow{{"frame,events", "door", first, parquet}, {"frame,events", "door", first + 1, parquet}})
	tables := testkit.Value(filepath.Glob(filepath.Join(rows, "_pictures/*/*/*.parquet")))(t)
	var picture []byte
	for _, data := range whole {
		if bytes.HasPrefix(data, []byte("\xff\xd8")) {
			picture = data
		}
	}
	table := testkit.ReadFile(t, tables[0])
	at := bytes.Index(table, picture)
	if len(tables) != 1 || at < 0 {
		t.Fatalf("the tables are %v", tables)
	}
	table[at+100] ^= 1
	testkit.WriteFile(t, tables[0], table)
	if said := extracted(t.Context(), t, 1, "missing: 1,", rows, "--into="+t.TempDir()); !strings.Contains(said, "frames: 1, files: 2") {
		t.Errorf("with a damaged picture it says %q", said)
	}

	// A tar appears when it is complete, and no other is lost.
	folder := t.TempDir()
	flag := "--tar=" + filepath.Join(folder, "faces.tar")
	extracted(ended, t, 130, "interrupted", root, flag)
	extracted(t.Context(), t, 2, "no run of facestream", "/nowhere", flag)
	if left := localFiles(t, folder); len(left) > 0 {
		t.Errorf("what is interrupted, or finds nothing, leaves %d files", len(left))
	}
	extracted(t.Context(), t, 0, "", root, flag)
	extracted(t.Context(), t, 2, "", root, flag)
	mustBeTree(t, untar(t, filepath.Join(folder, "faces.tar")), whole)
}
