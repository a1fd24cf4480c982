// Package cxx turns exceptions of C++ into errors of Go. Calls that may throw run in
// guard of guard.h, which a package with C++ of its own finds by
//
//	#cgo CXXFLAGS: -std=c++11 -I${SRCDIR}/../../internal/cxx
package cxx

// #include <stdlib.h>
import "C"

import (
	"errors"
	"strings"
	"unsafe"
)

// Error returns the text of a guarded call as an error, nil for NULL, and frees it.
func Error(text unsafe.Pointer) error {
	if text == nil {
		return nil
	}
	defer C.free(text)
	return errors.New(strings.TrimSpace(C.GoString((*C.char)(text))))
}
