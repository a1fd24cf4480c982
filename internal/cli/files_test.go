package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// What cannot be read or written is known before anything is done, and nothing is made.
func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	file, missing := filepath.Join(dir, "file"), filepath.Join(dir, "missing")
	testkit.WriteFile(t, file, nil)
	locked, broken := filepath.Join(dir, "locked"), filepath.Join(dir, "broken")
	testkit.Must(t, os.Mkdir(locked, 0o500))
	testkit.Must(t, os.Symlink(missing, broken))
	denied := "permission denied"
	if os.Geteuid() == 0 {
		denied = "" // root may write everywhere
	}
	for _, tc := range []struct {
		check func(flag, file string) error
		name  string
		want  string // empty if it is right
	}{
		{CheckFile, file, ""},
		{CheckFile, os.DevNull, ""},
		{CheckFile, missing, "no such file"},
		{CheckFile, dir, "it is a folder; name a file in it"},
		{CheckFile, file + "/x", "not a directory"},

		{CheckNewFile, "", ""},
		{CheckNewFile, file, ""},
		{CheckNewFile, missing, ""},
		{CheckNewFile, "missing", ""},
		{CheckNewFile, "/dev/stdout", ""},
		{CheckNewFile, "-", "/dev/stdout"},
		{CheckNewFile, dir, "it is a folder; name a file in it"},
		{CheckNewFile, missing + "/x", missing + " is not a folder; make it first"},
		{CheckNewFile, file + "/x", file + " is not a folder; make it first"},

		{CheckNewFile, locked + "/x", denied},

		{CheckFolder, dir, ""},
		{CheckFolder, missing, ""},
		{CheckFolder, missing + "/more/yet", ""},
		{CheckFolder, "missing/more", ""},
		{CheckFolder, file, file + " is a file"},
		{CheckFolder, file + "/x/y", file + " is a file"},
		{CheckFolder, locked + "/x", denied},
		{CheckFolder, broken, "no such file"},
	} {
		err := tc.check("--flag", tc.name)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "--flag="+tc.name+": ")) {
			t.Errorf("%s: error %v, want one with the flag and %q", tc.name, err, tc.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 3 {
		t.Errorf("%q, %v: something was made", left, err)
	}
}
