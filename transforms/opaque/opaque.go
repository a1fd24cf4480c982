// Package opaque gives elements coders whose bytes no runner decodes. To Beam a struct
// is a row. Flink decodes rows where elements are grouped or flattened, but not every
// row as the SDK encodes it, and the job then never ends.
package opaque

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
)

// Encode writes a struct as the SDK writes a row. Beam wants functions with names
// for beam.RegisterCoder: they call this one and Decode.
func Encode[T any](v T) ([]byte, error) {
	encode, err := coder.RowEncoderForStruct(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = encode(v, &b)
	return b.Bytes(), err
}

// Decode is the way back.
func Decode[T any](data []byte) (v T, err error) {
	decode, err := coder.RowDecoderForStruct(reflect.TypeFor[T]())
	if err != nil {
		return v, err
	}
	got, err := decode(bytes.NewReader(data))
	if err != nil {
		return v, err
	}
	v, ok := got.(T)
	if !ok {
		return v, fmt.Errorf("decoding a %T, want a %T", got, v)
	}
	return v, nil
}
