package face

/*
#cgo pkg-config: opencv4 libturbojpeg
#cgo CXXFLAGS: -std=c++11 -I${SRCDIR}/../../internal/cxx
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"gocv.io/x/gocv"

	"facestream/internal/cxx"
	"facestream/internal/record"
)

// classifier is one loaded cascade. It serves one goroutine at a time. Its
// memory in C++ is freed when Go no longer reaches it: a bundle that fails does not
// release its classifiers.
type classifier struct {
	key    cascadeKey
	handle unsafe.Pointer
}

// cascadeKey is the SHA-256 of Params.Cascade.
type cascadeKey [sha256.Size]byte

// loaded is the number of classifiers in C++ memory.
var loaded atomic.Int64

// load makes a classifier. OpenCV can read every format of a cascade only from
// a file, so there is one for as long as that takes.
func load(key cascadeKey, cascade []byte) (*classifier, error) {
	zip, err := gzip.NewReader(bytes.NewReader(cascade))
	if err != nil {
		return nil, fmt.Errorf("unpacking the cascade: %w", err)
	}
	file, err := os.CreateTemp("", "cascade-*.xml")
	if err != nil {
		return nil, fmt.Errorf("unpacking the cascade: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = io.Copy(file, zip)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("unpacking the cascade: %w", err)
	}

	path := C.CString(file.Name())
	defer C.free(unsafe.Pointer(path))
	var handle unsafe.Pointer
	if err := cxx.Error(unsafe.Pointer(C.face_load(path, &handle))); err != nil {
		return nil, fmt.Errorf("not a cascade that OpenCV can load, as haarcascade_frontalface_alt.xml is: %w", err)
	}
	c := &classifier{key: key, handle: handle}
	loaded.Add(1)
	runtime.AddCleanup(c, unload, handle)
	return c, nil
}

func unload(handle unsafe.Pointer) {
	C.face_close(handle)
	loaded.Add(-1)
}

// detect returns the boxes in a picture of one channel of bytes that is not
// empty, in no order. Params.MinFace is in pixels of that picture here.
func (c *classifier) detect(grey gocv.Mat, p Params) ([]record.Box, error) {
	var found *C.face_box
	var count C.int
	err := cxx.Error(unsafe.Pointer(C.face_detect(c.handle, unsafe.Pointer(grey.Ptr()),
		C.double(p.ScaleFactor), C.int(p.MinNeighbors), C.int(p.MinFace), &found, &count)))
	runtime.KeepAlive(c)
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

// pool holds the classifiers that nobody uses.
type pool struct {
	mu   sync.Mutex
	idle map[cascadeKey][]*classifier
}

// classifiers is the pool of this process: a cascade takes longer to load than
// a small bundle takes to run. It holds no more classifiers than were leased at
// one time.
var classifiers = pool{idle: map[cascadeKey][]*classifier{}}

// lease returns a classifier that nobody else uses until it is released.
func (p *pool) lease(cascade []byte) (*classifier, error) {
	key := cascadeKey(sha256.Sum256(cascade))
	if c := p.take(key); c != nil {
		return c, nil
	}
	return load(key, cascade)
}

func (p *pool) take(key cascadeKey) *classifier {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[key]
	if len(idle) == 0 {
		return nil
	}
	last := len(idle) - 1
	c := idle[last]
	idle[last] = nil
	p.idle[key] = idle[:last]
	return c
}

func (p *pool) release(c *classifier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle[c.key] = append(p.idle[c.key], c)
}

// threads is how many threads OpenCV takes, 0 for its default. It is one number
// for the process and may not change while OpenCV is at work: those who work
// hold the lock for reading.
var threads struct {
	sync.RWMutex
	n int
}

// lockThreads has OpenCV take n threads until the caller unlocks threads for
// reading.
func lockThreads(n int) error {
	threads.RLock()
	for threads.n != n {
		threads.RUnlock()
		if err := setThreads(n); err != nil {
			return err
		}
		threads.RLock()
	}
	return nil
}

func setThreads(n int) error {
	threads.Lock()
	defer threads.Unlock()
	count := C.int(n)
	if n == 0 {
		count = -1 // 0 is no threads at all to OpenCV
	}
	if err := cxx.Error(unsafe.Pointer(C.face_set_threads(count))); err != nil {
		return fmt.Errorf("setting OpenCV's threads to %d: %w", n, err)
	}
	threads.n = n
	return nil
}
