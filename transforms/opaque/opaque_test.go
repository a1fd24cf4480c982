package opaque

import (
	"reflect"
	"testing"

	"facestream/internal/testkit"
)

type inner struct {
	Name  string
	Bytes []byte
}

type outer struct {
	Number int64
	Is     bool
	Inner  inner
	Many   []inner
}

func TestEncodeAndDecode(t *testing.T) {
	for _, want := range []outer{
		{},
		{Number: -5, Is: true, Inner: inner{"a", []byte{0, 255}}, Many: []inner{{"b", []byte{1}}, {"c", nil}}},
	} {
		data := testkit.Value(encode(want))(t)
		got, err := decode(reflect.TypeFor[outer](), data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
		if got, err := decode(reflect.TypeFor[outer](), data[:len(data)-1]); err == nil {
			t.Errorf("bytes cut short gave %+v", got)
		}
	}
}
