package store

import (
	"math"
	"path"
	"strings"
	"testing"
)

// At 2026-01-02 03:04:05 UTC.
const testMillis = 1767323045000

var paths = []struct {
	about string
	name  Name
	path  string
}{
	{about: "plain", name: nameOf("door-1", testMillis, "frames", 3, 42),
		path: "door-1/2026/01/02/03/frames+3+00000000000000000042.jpg"},
	{about: "largest numbers", name: nameOf("c", testMillis, "t", 2147483647, 9223372036854775807),
		path: "c/2026/01/02/03/t+2147483647+09223372036854775807.jpg"},
	{about: "climbing", name: nameOf("../../etc", testMillis, "..", 0, 0),
		path: "%2E.%2F..%2Fetc/2026/01/02/03/%2E.+0+00000000000000000000.jpg"},
	{about: "dot", name: nameOf(".", testMillis, "t", 0, 0),
		path: "%2E/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "reserved folder", name: nameOf("_tmp", testMillis, "_schemas", 0, 0),
		path: "%5Ftmp/2026/01/02/03/%5Fschemas+0+00000000000000000000.jpg"},
	{about: "NUL, newline, plus, percent", name: nameOf("a\x00b\nc+d%", testMillis, "t", 0, 0),
		path: "a%00b%0Ac%2Bd%25/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "already escaped", name: nameOf("%2E", testMillis, "t", 0, 0),
		path: "%252E/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "not ASCII, not UTF-8", name: nameOf("é\xff~", testMillis, "t", 0, 0),
		path: "%C3%A9%FF%7E/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "glob and colon", name: nameOf("*?[a]:", testMillis, "t", 0, 0),
		path: "%2A%3F%5Ba%5D%3A/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "a topic like an extension", name: nameOf("c", testMillis, "t.face-1", 0, 0),
		path: "c/2026/01/02/03/t.face-1+0+00000000000000000000.jpg"},
	{about: "empty", name: nameOf("", testMillis, "t", 0, 0),
		path: "unknown/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "longest whole", name: nameOf(strings.Repeat("c", 180), testMillis, "t", 0, 0),
		path: strings.Repeat("c", 180) + "/2026/01/02/03/t+0+00000000000000000000.jpg"},
	// The hashes are from sha256sum.
	{about: "cut", name: nameOf(strings.Repeat("c", 300), testMillis, "t", 0, 0),
		path: cut300 + "/2026/01/02/03/t+0+00000000000000000000.jpg"},
	{about: "cut before an escape", name: nameOf(strings.Repeat("c", 146)+strings.Repeat("/", 100), testMillis, "t", 0, 0),
		path: cutSlashes + "/2026/01/02/03/t+0+00000000000000000000.jpg"},
}

var (
	cut300     = strings.Repeat("c", 147) + "~b9defaed1cf0009ea9e17a221356b924"
	cutSlashes = strings.Repeat("c", 146) + "~a1385d7ee39fd4e035326aae9dba98c8"
)

func TestPath(t *testing.T) {
	for _, test := range paths {
		t.Run(test.about, func(t *testing.T) {
			if got := test.name.Path(); got != test.path {
				t.Fatalf("Path() = %q, want %q", got, test.path)
			}
			base := strings.TrimSuffix(test.path, ".jpg")
			for _, file := range []struct {
				got, want string
				kind      Kind
			}{
				{test.name.Path(), test.path, KindPicture},
				{test.name.AnnotatedPath(), base + ".annotated.jpg", KindAnnotated},
				{test.name.FacePath(1), base + ".face-1.jpg", KindFace},
				{test.name.FacePath(2147483647), base + ".face-2147483647.jpg", KindFace},
				{test.name.RejectPath(), "_rejects/" + base + ".json", KindReject},
				{test.name.KeptPath(), "_rejects/" + base + ".bin", KindKept},
			} {
				if file.got != file.want {
					t.Errorf("got the path %q, want %q", file.got, file.want)
				}
				if got, kind, err := ParsePath(file.want); err != nil || got != test.name.ID || kind != file.kind {
					t.Errorf("ParsePath(%q) = %+v, %v, %v, want %+v, %v", file.want, got, kind, err, test.name.ID, file.kind)
				}
			}
		})
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
		if got, want := path.Dir(n.Path()), "c/"+test.want; got != want {
			t.Errorf("at %d ms the folder is %q, want %q", test.millis, got, want)
		}
		if id, kind, err := ParsePath(n.Path()); err != nil || id != n.ID || kind != KindPicture {
			t.Errorf("ParsePath(%q) = %v, %v, %v", n.Path(), id, kind, err)
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

func TestParsePathRefuses(t *testing.T) {
	for _, p := range []string{
		"",
		"face.jpg",
		"_windows/1.json",
		"c/undated/0/001/t+0+00000000000000000042.jpg",
		"c/2026/01/02/03/t+0+00000000000000000042.json",
		"_rejects/t+1+2.json",
		"_rejects/x/t+1+00000000000000000002.json",
		"_rejects/c/2026/01/02/03/t+1+00000000000000000002.jpg",
		"/c/2026/01/02/03/t+0+00000000000000000042.jpg",
		"c/2026/01/02/t+0+00000000000000000042.jpg",
		"c/2026/13/02/03/t+0+00000000000000000042.jpg",
		"c/1969/12/31/23/t+0+00000000000000000042.jpg",
		"c/2026/01/02/03/t+0+42.jpg",
		"c/2026/01/02/03/t+0+99999999999999999999.jpg",
		"c/2026/01/02/03/t+0+-0000000000000000042.jpg",
		"c/2026/01/02/03/t+00+00000000000000000042.jpg",
		"c/2026/01/02/03/t+2147483648+00000000000000000042.jpg",
		"c/2026/01/02/03/t+0+00000000000000000042.png",
		"c/2026/01/02/03/t+0+00000000000000000042.face-0.jpg",
		"c/2026/01/02/03/t+0+00000000000000000042.face-01.jpg",
		"c/2026/01/02/03/t+0+00000000000000000042.face-1.annotated.jpg",
		"c/2026/01/02/03/a+b+0+00000000000000000042.jpg",
		"../2026/01/02/03/t+0+00000000000000000042.jpg",
		"_tmp/2026/01/02/03/t+0+00000000000000000042.jpg",
		"a b/2026/01/02/03/t+0+00000000000000000042.jpg",
		"a%2f/2026/01/02/03/t+0+00000000000000000042.jpg",
		"a%/2026/01/02/03/t+0+00000000000000000042.jpg",
		"a~b/2026/01/02/03/t+0+00000000000000000042.jpg",
	} {
		if n, _, err := ParsePath(p); err == nil {
			t.Errorf("ParsePath(%q) = %+v, want an error", p, n)
		} else if !strings.Contains(err.Error(), p) {
			t.Errorf("ParsePath(%q): the error does not name the path: %v", p, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, test := range paths {
		f.Add(test.name.Camera, test.name.TimestampMillis, test.name.Topic, test.name.Partition, test.name.Offset)
	}
	f.Add("c", int64(-9223372036854775808), "t", int32(-1), int64(-1))
	f.Fuzz(func(t *testing.T, camera string, millis int64, topic string, partition int32, offset int64) {
		n := nameOf(camera, millis, topic, partition, offset)
		p := n.FacePath(math.MaxInt32) // the longest
		if path.Clean("/root/"+p) != "/root/"+p {
			t.Fatalf("%+v gives %q, which is not a clean path below the root", n, p)
		}
		parts := strings.Split(p, "/")
		if len(parts) < 5 || len(parts) > 6 {
			t.Fatalf("%+v gives %q with %d parts", n, p, len(parts))
		}
		for _, part := range parts {
			if len(part) > 255 || part[0] == '.' || part[0] == '_' {
				t.Fatalf("%+v gives %q with the unsafe part %q", n, p, part)
			}
		}
		for _, c := range []byte(p) {
			if c <= ' ' || c > '~' || strings.IndexByte(`\:*?[]"'`, c) >= 0 {
				t.Fatalf("%+v gives %q with the unsafe byte %q", n, p, c)
			}
		}
		if partition < 0 || offset < 0 {
			return
		}
		back, _, err := ParsePath(p)
		if err != nil {
			t.Fatalf("%+v: %v", n, err)
		}
		if back.Partition != partition || back.Offset != offset {
			t.Fatalf("%+v came back as %+v", n, back)
		}
		if topic != "" && len(topic) <= 60 && back.Topic != topic {
			t.Fatalf("topic %q came back as %q", topic, back.Topic)
		}
	})
}
