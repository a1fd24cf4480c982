package cli

import (
	"flag"
	"io"
	"maps"
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	const refused = -1
	for _, tc := range []struct {
		text string
		want Bytes
		back string // how the value is written
	}{
		{"0", 0, "0"},
		{"1024", 1024, "1KiB"},
		{"1000", 1000, "1kB"},
		{"64MiB", 64 << 20, "64MiB"},
		{"64mib", 64 << 20, "64MiB"},
		{" 64 MiB ", 64 << 20, "64MiB"},
		{"1.5GB", 1_500_000_000, "1500MB"},
		{"0.5KiB", 512, "512"},
		{"3kb", 3000, "3kB"},
		{"2tb", 2e12, "2TB"},
		{"9223372036854775807", 1<<63 - 1, "9223372036854775807"},
		{"9223372036854775808", refused, ""},
		{"8388607TiB", 8388607 << 40, "8388607TiB"},
		{"8388608TiB", refused, ""},
		{"1e30GB", refused, ""},
		{"-1", refused, ""},
		{"1.5", refused, ""},
		{"", refused, ""},
		{"MiB", refused, ""},
		{"64 M iB", refused, ""},
		{"NaNMB", refused, ""},
	} {
		f := flag.NewFlagSet("", flag.ContinueOnError)
		f.SetOutput(io.Discard)
		got := Bytes(5)
		f.Var(&got, "size", "")
		err := f.Parse([]string{"--size=" + tc.text})
		switch {
		case tc.want == refused:
			if err == nil || got != 5 {
				t.Errorf("%q is %d (%v), want it refused", tc.text, got, err)
			}
		case err != nil || got != tc.want || got.String() != tc.back:
			t.Errorf("%q is %d, written %s (%v), want %d, written %s", tc.text, got, got, err, tc.want, tc.back)
		}
	}
}

func TestKeyValues(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want KeyValues // nil: refused
	}{
		{nil, KeyValues{}},
		{[]string{"a=1", " b = x=y "}, KeyValues{"a": "1", "b": "x=y"}},
		{[]string{"a=1", "a="}, KeyValues{"a": ""}},
		{[]string{"a"}, nil},
		{[]string{""}, nil},
		{[]string{" =1"}, nil},
	} {
		got := KeyValues{}
		var err error
		for _, arg := range tc.args {
			if err = got.Set(arg); err != nil {
				break
			}
		}
		if (err != nil) != (tc.want == nil) || tc.want != nil && !maps.Equal(got, tc.want) {
			t.Errorf("%q: %v (%v), want %v", tc.args, got, err, tc.want)
		}
	}
}

func TestAge(t *testing.T) {
	for text, want := range map[string]struct {
		age  time.Duration
		back string
	}{
		"30d": {30 * 24 * time.Hour, "30d"}, "36h": {36 * time.Hour, "36h0m0s"}, "0.5d": {12 * time.Hour, "12h0m0s"}, "48h": {48 * time.Hour, "2d"},
		"3": {}, "d": {}, "-1d": {}, "59m": {}, "1e9d": {}, "NaNd": {}, "": {},
	} {
		var got Age
		err := got.Set(text)
		if (err == nil) != (want.age > 0) || time.Duration(got) != want.age || got.String() != want.back {
			t.Errorf("%q is %v, written %q (%v), want %v, written %q", text, time.Duration(got), got, err, want.age, want.back)
		}
	}
}
