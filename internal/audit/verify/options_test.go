package verify

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

func TestOptions(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "mine.xml")
	testkit.WriteFile(t, mine, nil)
	for _, test := range []struct {
		o    options
		want string // in the error, if there is one
	}{
		{options{}, ""},
		{options{recheck: 3, models: []string{mine, mine}}, ""},
		{options{recheck: -1}, "must be 0 or more"},
		{options{models: []string{mine}}, "--recheck=NUMBER, which is not set"},
		{options{recheck: 1, models: []string{"/no/no"}}, "no such file"},
	} {
		before := slices.Clone(test.o.models)
		err := test.o.check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || !slices.Equal(test.o.models, before) {
			t.Errorf("%+v: %v, want %q", test.o, err, test.want)
		}
	}
	o := options{recheck: 3}
	testkit.Must(t, o.check())
	for _, want := range []string{"haarcascade_frontalface_alt.xml", "haarcascade_profileface.xml"} {
		if !slices.ContainsFunc(o.models, func(file string) bool { return filepath.Base(file) == want }) {
			t.Errorf("%v, want %s among them", o.models, want)
		}
	}
}
