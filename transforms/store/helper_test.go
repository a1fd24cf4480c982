package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/colinmarc/hdfs/v2"

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

// hdfsAddress returns the NameNode's address.
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
	{"memory", memoryRoot},
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

func memoryRoot(t testing.TB) string { return "memfs://" + t.Name() }

// hdfsRoot returns a folder below one that belongs to testUser.
func hdfsRoot(t testing.TB) string {
	address := hdfsAddress(t)
	admin := superuser(t, address)
	home := "/" + testservices.Name(strings.ReplaceAll(t.Name(), "/", "-"))
	testkit.Must(t, admin.MkdirAll(home, 0o755))
	t.Cleanup(func() {
		if err := admin.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	testkit.Must(t, admin.Chown(home, testUser, testUser))
	return "hdfs://" + testUser + "@" + address + home + "/root"
}

// superuser returns a client that may do everything.
func superuser(t testing.TB, address string) *hdfs.Client {
	c := testkit.Value(hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{address}, User: "hdfs"}))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

func open(t testing.TB, root string) filesystem.Interface {
	fsys := testkit.Value(filesystem.New(t.Context(), root))(t)
	t.Cleanup(func() { fsys.Close() })
	return fsys
}

// hdfsPath returns what follows the NameNode in a name.
func hdfsPath(name string) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(name, "hdfs://"), "/")
	return "/" + path
}

// store stores a file below root.
func store(t testing.TB, root, name, data string) {
	t.Helper()
	testkit.Must(t, put(t.Context(), open(t, root), testConfig(root), name, []byte(data)))
}

// mustHold checks that these are the files below root, by name.
func mustHold(t *testing.T, root string, want map[string]string) {
	t.Helper()
	got := files(t, root)
	for name, data := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if g != data {
			t.Errorf("%s has %d bytes that are not the %d written", name, len(g), len(data))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

// files returns every file below root by its relative name.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	ctx := t.Context()
	fsys := open(t, root)
	found := map[string]string{}
	for depth, glob := 0, root; depth < 8; depth++ {
		glob += "/*"
		names := testkit.Value(fsys.List(ctx, glob))(t)
		for _, name := range names {
			data, err := filesystem.Read(ctx, fsys, name)
			if err != nil && strings.Contains(err.Error(), "is a directory") {
				continue
			}
			testkit.Must(t, err)
			found[strings.TrimPrefix(name, root+"/")] = string(data)
		}
	}
	return found
}

// nameOf is the name of a picture of a record.
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
