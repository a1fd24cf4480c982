// Package testcoder tests the coders of elements.
package testcoder

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/testkit"
)

// MustPass demands that elements, which have a value in each field, come back from Beam's
// coder as they were: a field that it drops would be lost between two stages.
func MustPass(t *testing.T, elements ...any) {
	t.Helper()
	for _, want := range elements {
		v := reflect.ValueOf(want)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%T: the test's %s has no value to lose", want, v.Type().Field(i).Name)
			}
		}
		var buf bytes.Buffer
		testkit.Must(t, beam.NewElementEncoder(v.Type()).Encode(want, &buf))
		if got := testkit.Value(beam.NewElementDecoder(v.Type()).Decode(&buf))(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v came back as %+v", want, got)
		}
	}
}
