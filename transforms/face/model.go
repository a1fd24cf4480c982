package face

/*
#cgo pkg-config: opencv4 libturbojpeg
#cgo CXXFLAGS: -std=c++11 -I${SRCDIR}/../../internal/cxx
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"gocv.io/x/gocv"

	"facestream/internal/cxx"
	"facestream/internal/record"
)

// model is one loaded cascade or network. It serves one goroutine at a time. Its
// memory in C++ is freed when it is closed, or when Go no longer reaches it: a bundle
// that fails does not release its models.
type model struct {
	key     modelKey
	handle  unsafe.Pointer
	cleanup runtime.Cleanup
}

// modelKey says which models can stand for each other. OpenCV prepares a network for the
// first size that it meets and may go wrong with another.
type modelKey struct {
	sum    [sha256.Size]byte // SHA-256 of Params.Cascade, Params.Profile or Params.Model
	canvas image.Point       // of a network
}

func cascadeKey(cascade []byte) modelKey { return modelKey{sum: sha256.Sum256(cascade)} }

// loaded is the number of models in C++ memory.
var loaded atomic.Int64

func newModel(key modelKey, handle unsafe.Pointer) *model {
	m := &model{key: key, handle: handle}
	loaded.Add(1)
	m.cleanup = runtime.AddCleanup(m, unload, handle)
	return m
}

func unload(handle unsafe.Pointer) {
	C.face_close(handle)
	loaded.Add(-1)
}

func (m *model) close() {
	m.cleanup.Stop()
	unload(m.handle)
}

// loadCascade makes a classifier. OpenCV can read every format of a cascade only from
// a file, so there is one for as long as that takes.
func loadCascade(key modelKey, cascade []byte) (*model, error) {
	xml, err := uncompress(cascade)
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "cascade-*.xml")
	if err != nil {
		return nil, fmt.Errorf("unpacking the cascade: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(xml)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("unpacking the cascade: %w", err)
	}
	path := C.CString(file.Name())
	defer C.free(unsafe.Pointer(path))
	var handle unsafe.Pointer
	if err := cxx.Error(unsafe.Pointer(C.face_load_cascade(path, &handle))); err != nil {
		return nil, fmt.Errorf("not a cascade that OpenCV can load, as haarcascade_frontalface_alt.xml is: %w", err)
	}
	return newModel(key, handle), nil
}

// loadNetwork makes a network of an ONNX file that knownModel knows: OpenCV's importer
// believes what a file says, and other files could end the process.
func loadNetwork(key modelKey, onnx []byte) (*model, error) {
	if _, _, err := knownModel(onnx); err != nil {
		return nil, err
	}
	var handle unsafe.Pointer
	if err := cxx.Error(unsafe.Pointer(C.face_load_network(unsafe.Pointer(&onnx[0]), C.size_t(len(onnx)), &handle))); err != nil {
		return nil, fmt.Errorf("loading the network: %w", err)
	}
	return newModel(key, handle), nil
}

// detect returns the boxes in a picture of one channel of bytes that is not
// empty, in no order. Params.MinFace is in pixels of that picture here.
func (m *model) detect(grey gocv.Mat, p Params) ([]record.Box, error) {
	var found *C.face_box
	var count C.int
	err := cxx.Error(unsafe.Pointer(C.face_detect(m.handle, unsafe.Pointer(grey.Ptr()),
		C.double(p.ScaleFactor), C.int(p.MinNeighbors), C.int(p.MinFace), &found, &count)))
	runtime.KeepAlive(m)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(found))
	var boxes []record.Box
	for _, b := range unsafe.Slice(found, count) {
		boxes = append(boxes, record.Box{X: int32(b.x), Y: int32(b.y), Width: int32(b.width), Height: int32(b.height)})
	}
	return boxes, nil
}

// run hands the outputs of a network for a picture in blue, green and red to decode,
// which may not keep them. The picture fits on the canvas of the network.
func (m *model) run(bgr gocv.Mat, rgb bool, decode func(tensors) error) error {
	if bgr.Type() != gocv.MatTypeCV8UC3 || bgr.Empty() || bgr.Cols() > m.key.canvas.X || bgr.Rows() > m.key.canvas.Y {
		return fmt.Errorf("a picture of %dx%d pixels of type %v for a network of %v", bgr.Cols(), bgr.Rows(), bgr.Type(), m.key.canvas)
	}
	var swap, count C.int
	if rgb {
		swap = 1
	}
	var found *C.face_output
	err := cxx.Error(unsafe.Pointer(C.face_run(m.handle, unsafe.Pointer(bgr.Ptr()), C.int(m.key.canvas.X), C.int(m.key.canvas.Y), swap, &found, &count)))
	defer runtime.KeepAlive(m)
	if err != nil {
		return err
	}
	out := tensors{}
	for _, o := range unsafe.Slice(found, count) {
		out[C.GoString(o.name)] = unsafe.Slice((*float32)(o.data), o.size)
	}
	return decode(out)
}

// maxIdle is how many models the pool keeps: those of two bundles that use all cores, and
// some for cameras whose pictures have other sizes.
var maxIdle = 2*runtime.GOMAXPROCS(0) + 4

// pool holds the models that nobody uses: one takes longer to load than a small bundle
// takes to run. When there are too many, those go that were idle longest.
type pool struct {
	mu   sync.Mutex
	idle []*model
}

// models is the pool of this process.
var models pool

// lease returns a model that nobody else uses until it is released; load makes one if
// there is none.
func (p *pool) lease(key modelKey, data []byte, load func(modelKey, []byte) (*model, error)) (*model, error) {
	if m := p.take(key); m != nil {
		return m, nil
	}
	return load(key, data)
}

func (p *pool) take(key modelKey) *model {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range slices.Backward(p.idle) {
		if m.key == key {
			p.idle = slices.Delete(p.idle, i, i+1)
			return m
		}
	}
	return nil
}

func (p *pool) release(m *model) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, m)
	if len(p.idle) > maxIdle {
		p.idle[0].close()
		p.idle = slices.Delete(p.idle, 0, 1)
	}
}

// OneThread has OpenCV take one thread for a frame, in this process and for good: whoever
// looks at several frames side by side uses more of the cores so. OpenCV's default is a
// thread for each core.
var OneThread = sync.OnceValue(func() error { return setThreads(1) })

// setThreads may not be called while OpenCV is at work.
func setThreads(n int) error {
	if err := cxx.Error(unsafe.Pointer(C.face_set_threads(C.int(n)))); err != nil {
		return fmt.Errorf("setting OpenCV's threads to %d: %w", n, err)
	}
	return nil
}

// OpenCVVersion is the version of OpenCV that this program was compiled with;
// with another one it would not have started.
func OpenCVVersion() string { return gocv.OpenCVVersion() }
