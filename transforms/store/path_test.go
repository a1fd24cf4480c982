package store

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// At 2026-01-02 03:04:05 UTC.
const testMillis = 1767323045000

// A name's camera and topic are folder and file as far as they are safe there.
func TestPath(t *testing.T) {
	long, slashes := strings.Repeat("c", 180), strings.Repeat("c", 146)+strings.Repeat("/", 100)
	for about, tt := range map[string]struct{ camera, topic, folder, file string }{
		"plain":                       {"door-1", "frames", "door-1", "frames"},
		"climbing":                    {"../../etc", "..", "%2E.%2F..%2Fetc", "%2E."},
		"dot":                         {".", "t", "%2E", "t"},
		"reserved folder":             {"_tmp", "_schemas", "%5Ftmp", "%5Fschemas"},
		"NUL, newline, plus, percent": {"a\x00b\nc+d%", "t", "a%00b%0Ac%2Bd%25", "t"},
		"already escaped":             {"%2E", "t", "%252E", "t"},
		"not ASCII, not UTF-8":        {"é\xff~", "t", "%C3%A9%FF%7E", "t"},
		"glob and colon":              {"*?[a]:", "t", "%2A%3F%5Ba%5D%3A", "t"},
		"a topic like an extension":   {"c", "t.face-1", "c", "t.face-1"},
		"empty":                       {"", "t", "unknown", "t"},
		"longest whole":               {long, "t", long, "t"},
		// The hashes are from sha256sum.
		"cut":                  {strings.Repeat("c", 300), "t", strings.Repeat("c", 147) + "~b9defaed1cf0009ea9e17a221356b924", "t"},
		"cut before an escape": {slashes, "t", strings.Repeat("c", 146) + "~a1385d7ee39fd4e035326aae9dba98c8", "t"},
	} {
		n := nameOf(tt.camera, testMillis, tt.topic, 2147483647, 9223372036854775807)
		base := tt.folder + "/2026/01/02/03/" + tt.file + "+2147483647+09223372036854775807"
		for _, file := range []struct {
			got, want string
			kind      Kind
		}{
			{n.Path(), base + ".jpg", KindPicture},
			{n.AnnotatedPath(), base + ".annotated.jpg", KindAnnotated},
			{n.FacePath(1), base + ".face-1.jpg", KindFace},
			{n.FacePath(2147483647), base + ".face-2147483647.jpg", KindFace},
			{n.RejectPath(), "_rejects/" + base + ".json", KindReject},
			{n.KeptPath(), "_rejects/" + base + ".bin", KindKept},
		} {
			testkit.Equal(t, about, file.got, file.want)
			if kind, got := KindOf(file.want); got != n.ID || kind != file.kind {
				t.Errorf("%s: KindOf(%q) = %v, %+v, want %v, %+v", about, file.want, kind, got, file.kind, n.ID)
			}
		}
	}
}

func TestPathTimes(t *testing.T) {
	for _, test := range []struct {
		millis, offset int64
		want           string
	}{
		{946_684_800_000, 7, "2000/01/01/00"},
		{4_133_980_799_999, 7, "2100/12/31/23"},
		{946_684_799_999, 7, "undated/0/000"},
		{4_133_980_800_000, 7, "undated/0/000"},
		{-1, 1_234_567_890, "undated/1234/567"},
		{1_767_323_045_000_000, 999_999, "undated/0/999"},
		{-9223372036854775808, 1_000_000, "undated/1/000"},
		{9223372036854775807, 9223372036854775807, "undated/9223372036854/775"},
	} {
		n := nameOf("c", test.millis, "t", 0, test.offset)
		testkit.Equal(t, fmt.Sprintf("the folder at %d ms", test.millis), path.Dir(n.Path()), "c/"+test.want)
		if kind, id := KindOf(n.Path()); id != n.ID || kind != KindPicture {
			t.Errorf("KindOf(%q) = %v, %v", n.Path(), kind, id)
		}
	}
}

func TestLongNamesStayApartAndFit(t *testing.T) {
	long := strings.Repeat("x", 300)
	seen := map[string]string{}
	for _, camera := range []string{long, long + "y", "y" + long, strings.Repeat("/", 300), strings.Repeat("/", 299)} {
		n := nameOf(camera, testMillis, camera, 2147483647, 9223372036854775807)
		p := n.FacePath(2147483647) // the longest
		folder := strings.Split(p, "/")[0]
		if other, ok := seen[folder]; ok {
			t.Errorf("cameras %.20q... and %.20q... share the folder %s", other, camera, folder)
		}
		seen[folder] = camera
		if len(path.Base(p)) > 255 {
			t.Errorf("%q has %d bytes, a file system takes 255", p, len(path.Base(p)))
		}
	}
}
