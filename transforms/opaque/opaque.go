// Package opaque gives elements coders whose bytes no runner decodes. To Beam a struct
// is a row. Flink decodes rows where elements are grouped or flattened, but not every
// row as the SDK encodes it, and the job then never ends.
package opaque

import (
	"bytes"
	"iter"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
)

// Register gives such a coder to elements of a struct type, which writes them as the SDK
// writes a row. It is for init.
func Register[T any]() { beam.RegisterCoder(reflect.TypeFor[T](), encode, decode) }

func encode(v beam.T) ([]byte, error) {
	encode, err := coder.RowEncoderForStruct(reflect.TypeOf(v))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = encode(v, &b)
	return b.Bytes(), err
}

func decode(t reflect.Type, data []byte) (beam.T, error) {
	decode, err := coder.RowDecoderForStruct(t)
	if err != nil {
		return nil, err
	}
	return decode(bytes.NewReader(data))
}

// Values gives the elements of a group, as Beam hands them to a function.
func Values[T any](next func(*T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			var v T
			if !next(&v) || !yield(v) {
				return
			}
		}
	}
}
