package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/internal/record"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

const testUser = "alice"

func TestMain(m *testing.M) {
	// A zone of this machine must not move a picture to another hour.
	time.Local = time.FixedZone("far", 14*3600)
	os.Exit(testservices.Main(func() int { return ptest.MainRet(m) }))
}

func hdfsAddress(t testing.TB) string {
	t.Helper()
	return strings.TrimPrefix(testservices.Start(t, services.Options{HDFS: true}).HDFS, "hdfs://")
}

// A driver is one kind of file system.
type driver struct {
	name string
	root func(t testing.TB) string // a root of the test's own, not made yet
}

var drivers = []driver{
	{"local", func(t testing.TB) string { return filepath.Join(t.TempDir(), "root") }},
	{"hdfs", hdfsRoot},
}

// everywhere runs a test on every kind of file system.
func everywhere(t *testing.T, test func(t *testing.T, root string)) {
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) { test(t, d.root(t)) })
	}
}

// testConfig is that of a run with a root.
func testConfig(root string) Config { return Config{Root: root, Run: "this-run"} }

// hdfsRoot returns a folder below one that belongs to testUser.
func hdfsRoot(t testing.TB) string {
	address := hdfsAddress(t)
	admin := testservices.DialHDFS(t, address, "hdfs")
	home := "/" + testservices.Name(strings.ReplaceAll(t.Name(), "/", "-"))
	testkit.Must(t, admin.MkdirAll(home, 0o755))
	t.Cleanup(func() { testkit.Must(t, admin.RemoveAll(home)) })
	testkit.Must(t, admin.Chown(home, testUser, testUser))
	return "hdfs://" + testUser + "@" + address + home + "/root"
}

// hdfsPath returns what follows the NameNode in a name.
func hdfsPath(name string) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(name, "hdfs://"), "/")
	return "/" + path
}

// mustBeEmpty checks that there is nothing below root, not even a folder.
func mustBeEmpty(t testing.TB, root string) {
	t.Helper()
	if left, err := testConfig(root).Glob(t.Context(), "*"); err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

func store(t testing.TB, root, name, data string) {
	t.Helper()
	testkit.Must(t, testConfig(root).put(t.Context(), name, []byte(data)))
}

// mustHold checks that these are the files below root, by name.
func mustHold(t *testing.T, root string, want map[string]string) {
	t.Helper()
	got := files(t, root)
	for name, data := range want {
		if g, ok := got[name]; !ok || g != data {
			t.Errorf("%s has %d bytes, or is not there: %v; want the %d that were written", name, len(g), !ok, len(data))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s should not be there", name)
	}
}

// files returns every file below root by its relative name.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	testkit.Must(t, ignoreGone(List(t.Context(), testConfig(root), func(name string, _ int64, _ time.Time) error {
		data, err := testConfig(root).Read(t.Context(), name)
		found[name] = string(data)
		return err
	})))
	return found
}

func nameOf(camera string, millis int64, topic string, partition int32, offset int64) Name {
	return Name{ID: record.In(topic, partition).At(offset), Camera: camera, TimestampMillis: millis}
}

// boxes returns boxes of x, y, width and height of each, in turn.
func boxes(sides ...int32) (boxes []record.Box) {
	for s := range slices.Chunk(sides, 4) {
		boxes = append(boxes, record.Box{X: s[0], Y: s[1], Width: s[2], Height: s[3]})
	}
	return boxes
}
