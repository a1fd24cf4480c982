package view

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"facestream/internal/record"
	"facestream/transforms/face"
)

// event is a face as the pages show it.
type event face.Event

// time is when the picture was taken; 0 if the record does not say it.
func (e *event) time() int64 {
	if record.Dated(e.TimestampMillis) {
		return e.TimestampMillis
	}
	return 0
}

func (e *event) key() key { return key{e.time(), e.ID, e.Face} }

func (e *event) Size() int32 { return min(e.Box.Width, e.Box.Height) }

func (e *event) Sharpness() string { return strconv.FormatFloat(e.Blur, 'f', 0, 64) }

func (e *event) Confidence() string {
	if e.Score == nil {
		return ""
	}
	return strconv.FormatFloat(*e.Score, 'f', 2, 64)
}

// key is the place of a face among all: the newest first.
type key struct {
	time int64
	record.ID
	face int
}

func (k key) compare(l key) int {
	return cmp.Or(cmp.Compare(l.time, k.time), k.TopicPartition.Compare(l.TopicPartition), cmp.Compare(l.Offset, k.Offset), cmp.Compare(k.face, l.face))
}

// chunk is the lines of a file of events that begin within [start, end).
type chunk struct {
	file       string
	start, end int64
	bytes      int64 // of the file that count
	guess      int64 // when its last faces may have been seen, until it was read
	summary    atomic.Pointer[summary]
}

// summary is what is kept of a chunk that was read.
type summary struct {
	first, last int64 // times
	minutes     []minuteCount
	dropped     bool // minutes, since there were too many
	cameras     []int32
	size        int32 // the greatest
	blur, score float64
}

type minuteCount struct {
	camera, minute, n int32
}

// bounds are between which times its faces are.
func (c *chunk) bounds() (first, last int64) {
	if s := c.summary.Load(); s != nil {
		return s.first, s.last
	}
	return 0, c.guess
}

func (ix *index) events(ctx context.Context, c *chunk) ([]event, error) {
	if all, ok := ix.cache.Get(c); ok {
		return all, nil
	}
	all, err := ix.parse(ctx, c)
	if err == nil {
		ix.cache.Add(c, all)
	}
	return all, err
}

// parse reads a chunk and sums it up. Lines that are no events are passed over: verify
// reports them. A file that is gone was gathered meanwhile.
func (ix *index) parse(ctx context.Context, c *chunk) ([]event, error) {
	in, err := ix.cfg.Open(ctx, c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	defer in.Close()
	at := max(0, c.start-1) // a line begins behind another one's end
	if _, err := in.Seek(at, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading %s: %w", c.file, err)
	}
	lines := bufio.NewReaderSize(io.LimitReader(in, c.bytes-at), maxLine)
	var all []event
	for first := c.start > 0; at < c.end; first = false {
		line, err := lines.ReadSlice('\n')
		at += int64(len(line))
		whole := err == nil
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = lines.ReadSlice('\n')
			at += int64(len(line))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", c.file, err)
		}
		if whole && !first {
			if e, err := face.ParseEvent(line); err == nil {
				all = append(all, event(e))
			}
		}
		if err != nil {
			break
		}
	}
	ix.sum(c, all)
	return all, nil
}

// sum sums up a chunk, unless another page has.
func (ix *index) sum(c *chunk, all []event) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if c.summary.Load() != nil {
		return
	}
	s := &summary{first: math.MaxInt64}
	counts := map[minuteCount]int32{}
	for i := range all {
		e := &all[i]
		t, camera := e.time(), ix.cameraLocked(e.Camera)
		s.first, s.last = min(s.first, t), max(s.last, t)
		s.size, s.blur = max(s.size, e.Size()), max(s.blur, e.Blur)
		if e.Score != nil {
			s.score = max(s.score, *e.Score)
		}
		if !slices.Contains(s.cameras, camera) {
			s.cameras = append(s.cameras, camera)
		}
		if t > 0 {
			counts[minuteCount{camera: camera, minute: int32(t / time.Minute.Milliseconds())}]++
		}
	}
	if s.dropped = ix.minutes+len(counts) > maxMinutes; s.dropped {
		clear(counts)
	}
	for m, n := range counts {
		m.n = n
		s.minutes = append(s.minutes, m)
	}
	ix.minutes += len(s.minutes)
	c.summary.Store(s)
}

// others stands for cameras without a name in the index, as slices.Index has it.
const others = -1

func (ix *index) cameraLocked(name string) int32 {
	n := slices.Index(ix.cameras, name)
	if n < 0 && len(ix.cameras) < maxCameras && len(name) <= maxCameraName {
		n = len(ix.cameras)
		ix.cameras = append(ix.cameras, name)
	}
	return int32(n)
}
