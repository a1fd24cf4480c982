package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// testRefusals has writes that cannot succeed: each is tried once, its error
// names path and user, and it leaves nothing. If it tried again it would do so
// for an hour.
func testRefusals(t *testing.T, c *cluster) {
	ctx := context.Background()
	root := c.folder(t)
	f := ownClients(time.Minute, time.Hour)
	calls := count(f)
	dir := func(path string) string {
		t.Helper()
		testkit.Must(t, c.plain.MkdirAll(ctx, name(testUser, c.address, root+path)))
		return root + path
	}
	private := root + "-private"
	testkit.Must(t, c.plain.MkdirAll(ctx, name(superuser, c.address, private)))
	c.admin(t, dfsAdmin, "-setQuota", "1", dir("/names"))
	c.admin(t, dfsAdmin, "-setSpaceQuota", "1000000", dir("/space")) // less than one block
	full := dir("/full")
	for i := range dirLimit {
		dir(fmt.Sprintf("/full/%d", i))
	}
	file := root + "/file"
	testkit.Must(t, put(c.plain, c.address, file))
	c.holds(t, root, file)

	for about, test := range map[string]struct {
		path string
		is   error
		says string
		call string // that is refused
	}{
		"no permission":    {private + "/a", fs.ErrPermission, "", "create"},
		"name quota":       {root + "/names/a", syscall.EDQUOT, "quota of files and folders", "create"},
		"space quota":      {root + "/space/a", syscall.EDQUOT, "quota of space", "addBlock"},
		"directory limit":  {full + "/a", nil, "as many files as one folder may", "create"},
		"long name":        {root + "/" + strings.Repeat("x", 256), syscall.ENAMETOOLONG, "", "create"},
		"missing folder":   {root + "/none/a", fs.ErrNotExist, "", "getFileInfo"},
		"file as a folder": {file + "/a", syscall.ENOTDIR, "", "create"},
	} {
		t.Run(about, func(t *testing.T) {
			to := name(testUser, c.address, test.path)
			calls.take()
			err := filesystem.Write(ctx, f, to, content(test.path))
			refused(t, err, to, test.is, test.says)
			of := calls.take()
			if of["create"] > 1 || of[test.call] != 1 || of["addBlock"] > 1 {
				t.Errorf("the calls were %v, want one attempt with one %s", of, test.call)
			}
			if test.call == "addBlock" || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrNotExist) {
				return // not what a rename is refused for
			}
			from := name(testUser, c.address, file)
			err = f.Rename(ctx, from, to)
			refused(t, err, to, test.is, test.says)
			testkit.Equal(t, "how often it was tried", calls.take()["rename2"], 1)
		})
	}
	c.holds(t, root, file)
	c.holds(t, private)
}

func refused(t *testing.T, err error, path string, is error, says string) {
	t.Helper()
	p, isPath := errors.AsType[*fs.PathError](err)
	l, isLink := errors.AsType[*os.LinkError](err)
	ok := isPath && p.Path == path || isLink && l.New == path
	if !ok || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "giving up") {
		t.Errorf("error is %v, want one about %s, %v and %q", err, path, is, says)
	}
}

// testErasureCoding writes into folders with a policy, which is refused, and
// with none, which costs one call more for the folder's first file.
func testErasureCoding(t *testing.T, c *cluster) {
	ctx := context.Background()
	root := c.folder(t)
	coded, plain := root+"/coded", root+"/coded/plain"
	testkit.Must(t, c.plain.MkdirAll(ctx, name(testUser, c.address, plain)))
	c.admin(t, ecAdmin, "-setPolicy", "-path", coded, "-policy", "XOR-2-1-1024k")
	c.admin(t, ecAdmin, "-setPolicy", "-path", plain, "-replicate")
	f := ownClients(time.Minute, time.Hour)
	calls := count(f)

	testkit.Must(t, f.MkdirAll(ctx, name(testUser, c.address, coded+"/below")))
	for _, dir := range []string{coded, coded + "/below"} {
		calls.take()
		to := name(testUser, c.address, dir+"/a")
		err := filesystem.Write(ctx, f, to, content(dir))
		refused(t, err, to, nil, "erasure coded, which this client cannot write")
		if of := calls.take(); of["getFileInfo"] != 1 || of["create"] != 0 {
			t.Errorf("the calls were %v, want one getFileInfo and no create", of)
		}
	}
	c.holds(t, root)

	const files = 3
	var want []string
	for i := range files {
		path := fmt.Sprintf("%s/%d", plain, i)
		want = append(want, path)
		testkit.Must(t, filesystem.Write(ctx, f, name(testUser, c.address, path), content(path)))
	}
	if of := calls.take(); of["getFileInfo"] != 1 || of["create"] != files {
		t.Errorf("the calls were %v, want one getFileInfo for %d files", of, files)
	}
	// A file keeps what it was written with.
	moved := coded + "/moved"
	testkit.Must(t, f.Rename(ctx, name(testUser, c.address, want[0]), name(testUser, c.address, moved)))
	mustHold(t, f, name(testUser, c.address, moved), string(content(want[0])))

	// Without the check the library writes, and reports nothing.
	unchecked := someClient(t, f, c.address)
	unchecked.folders.Store(coded, nil)
	wrong := coded + "/wrong"
	testkit.Must(t, write(ctx, unchecked, wrong, Whole(content(wrong))))
	from := name(testUser, c.address, wrong)
	_, err := filesystem.Read(ctx, f, from)
	refused(t, err, from, nil, "erasure coded, which this client cannot read")
}

// testSpace has quotas on a folder and on the home above it, of which a file
// takes its part. Those of a folder that is somebody else's are not looked at.
func testSpace(t *testing.T, c *cluster) {
	ctx := context.Background()
	const names, bytes = 7, 100 << 20
	home := c.folder(t)
	in := home + "/in"
	testkit.Must(t, c.plain.MkdirAll(ctx, name(testUser, c.address, in)))
	c.admin(t, dfsAdmin, "-setQuota", "7", home)
	c.admin(t, dfsAdmin, "-setSpaceQuota", "104857600", in)
	testkit.Must(t, put(c.plain, c.address, in+"/file"))
	size := int64(2 * len(content(in+"/file"))) // of both replicas

	quotas := []Quota{
		{Folder: in, Names: -1, NamesLeft: -1, Bytes: bytes, BytesLeft: bytes - size},
		{Folder: home, Names: names, NamesLeft: names - 3, Bytes: -1, BytesLeft: -1},
	}
	for _, tc := range []struct {
		user, folder string
		nearest      string
		quotas       []Quota
	}{
		{testUser, in, in, quotas},
		{testUser, in + "/not/yet", in, quotas},
		{"bob", in, in, quotas[:1]},
		{"bob", in + "/not/yet", in, nil},
		{testUser, "/not/yet", "/", nil},
	} {
		s, err := c.plain.Space(ctx, name(tc.user, c.address, tc.folder))
		if err != nil || s.Folder != tc.nearest || !reflect.DeepEqual(s.Quotas, tc.quotas) {
			t.Errorf("%s as %s: %+v, %v, want the quotas %+v of %s", tc.folder, tc.user, s, err, tc.quotas, tc.nearest)
		}
		testkit.Equal(t, s.Folder, s.Owner, map[bool]string{true: testUser, false: superuser}[s.Folder != "/"])
		if s.Block != 2<<20 || s.Free <= 0 || s.Free > s.Capacity {
			t.Errorf("%+v, want room for a few blocks of two times 1 MiB", s)
		}
	}
}
