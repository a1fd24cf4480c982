package hdfs

import (
	"context"
	"reflect"
	"testing"

	"facestream/internal/testkit"
)

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
		if wantOwner := map[bool]string{true: testUser, false: superuser}[s.Folder != "/"]; s.Owner != wantOwner {
			t.Errorf("%s is owned by %q, want %s", s.Folder, s.Owner, wantOwner)
		}
		if s.Block != 2<<20 || s.Free <= 0 || s.Free > s.Capacity {
			t.Errorf("%+v, want room for a few blocks of two times 1 MiB", s)
		}
	}
}
