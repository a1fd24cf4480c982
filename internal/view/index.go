package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"facestream/internal/record"
	"facestream/internal/wait"
	"facestream/transforms/store"
)

// The bounds of what is kept in memory, and of what is read for one page.
const (
	chunkBytes    = 1 << 20 // of a file of events, that are read at once
	maxLine       = 1 << 20 // longer lines are passed over
	cachedChunks  = 32      // whose events are kept
	maxCameras    = 1000    // that have a name in the index; all others are one
	maxCameraName = 1024    // bytes of it
	maxMinutes    = 4 << 20 // counts in all summaries; those of further chunks are read again
	maxReads      = 100     // chunks for one page
	refreshAfter  = time.Second
)

// index knows where the events of an output are. It reads the books, and of the events what
// a page needs; in the background all of them, once, for their summaries.
type index struct {
	cfg store.Config

	refreshing sync.Mutex
	refreshed  time.Time
	purgedAt   time.Time       // when something was purged last
	over       map[string]bool // files of ledgers that never change again
	overTally  tally           // of these

	mu      sync.Mutex
	chunks  map[string][]*chunk // by file
	tally   tally
	cameras []string

	minutes int // in all summaries
	cache   *lru.Cache[*chunk, []event]

	opening sync.Mutex // tables, whose pictures are read one at a time
	opened  *lru.Cache[store.Table, openTable]
	rows    int // in opened
}

// tally is what ledgers say of the output.
type tally struct {
	Sum    store.Partition
	Latest store.Latest
	Unread int // files that cannot be understood

	at     map[record.TopicPartition]int64 // where groups stand
	events []store.EventsFile
	tables map[string][]store.Table // by folder; those that are not gathered have none

	written time.Time // the picture of Latest; zero if that is not known
}

func openIndex(ctx context.Context, root string) (*index, error) {
	ix := &index{cfg: store.Config{Root: root, NoLinks: true}, over: map[string]bool{}, chunks: map[string][]*chunk{}}
	var err error
	if ix.cache, err = lru.New[*chunk, []event](cachedChunks); err != nil {
		return nil, err
	}
	if ix.opened, err = lru.NewWithEvict(cachedTables, func(_ store.Table, old openTable) {
		ix.rows -= len(old.rows)
		_ = old.Close()
	}); err != nil {
		return nil, err
	}
	names, err := ix.cfg.Glob(ctx, "_*")
	if err != nil {
		return nil, fmt.Errorf("looking into %s: %w", root, err)
	}
	if !slices.ContainsFunc([]string{"_windows", "_leases", "_tmp", "_events"}, func(name string) bool { return slices.Contains(names, name) }) {
		return nil, fmt.Errorf("%s: %w", root, errNoOutput)
	}
	return ix, ix.refresh(ctx)
}

var errNoOutput = errors.New("no run of facestream has written there")

// read returns a whole file of at most so many bytes.
func (ix *index) read(ctx context.Context, name string, most int64) ([]byte, error) {
	in, err := ix.cfg.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return data, err
}

// refresh looks for what a run has added, unless that was done just now.
func (ix *index) refresh(ctx context.Context) error {
	ix.refreshing.Lock()
	defer ix.refreshing.Unlock()
	if time.Since(ix.refreshed) < refreshAfter {
		return nil
	}
	began := time.Now()
	ix.forgetPurged(ctx)
	var changing []store.BookFile
	err := store.NewBooks(ctx, ix.cfg, func(name string) bool { return ix.over[name] }, func(f store.BookFile) error {
		// What a run still changes lies in the folder of its book.
		if f.Err != nil || strings.Count(f.Name, "/") == 2 {
			changing = append(changing, f)
			return nil
		}
		ix.over[f.Name] = true
		ix.overTally.add(f)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the ledgers: %w", err)
	}
	now := ix.overTally.clone()
	for _, f := range changing {
		now.add(f)
	}
	if now.written = ix.tally.written; now.Latest != ix.tally.Latest || now.written.IsZero() {
		now.written, _ = ix.cfg.Modified(ctx, now.Latest.Picture)
	}
	files := map[string]bool{}
	ix.mu.Lock()
	for _, e := range now.events {
		files[e.File] = true
		ix.setFileLocked(e)
	}
	ix.dropLocked(func(name string) bool { return !files[name] })
	ix.tally = now
	ix.mu.Unlock()
	// On a file system that takes long, look less often.
	ix.refreshed = time.Now().Add(9 * time.Since(began))
	return nil
}

// forgetPurged forgets everything when something was purged since it was read.
func (ix *index) forgetPurged(ctx context.Context) {
	at, err := ix.cfg.Modified(ctx, store.PurgedFile)
	if err != nil || at.Equal(ix.purgedAt) { // mostly, there is none
		return
	}
	ix.purgedAt, ix.over, ix.overTally = at, map[string]bool{}, tally{}
	ix.mu.Lock()
	ix.dropLocked(func(string) bool { return true })
	ix.mu.Unlock()
	ix.cache.Purge()
}

// dropLocked forgets files of events.
func (ix *index) dropLocked(gone func(name string) bool) {
	for name, chunks := range ix.chunks {
		if gone(name) {
			for _, c := range chunks {
				ix.forget(c)
			}
			delete(ix.chunks, name)
		}
	}
}

func (t *tally) add(f store.BookFile) {
	if f.Err != nil {
		t.Unread++
		return
	}
	sum := store.Ledger{Partitions: []store.Partition{t.Sum}}
	for _, l := range f.Ledgers {
		sum.Partitions = append(sum.Partitions, l.Sum())
		if t.Latest.Before(l.Latest) {
			t.Latest = l.Latest
		}
	}
	t.Sum = sum.Sum()
	if t.at == nil {
		t.at, t.tables = map[record.TopicPartition]int64{}, map[string][]store.Table{}
	}
	for _, p := range f.Positions {
		t.at[p.TopicPartition] = max(t.at[p.TopicPartition], p.Offset)
	}
	t.events = append(t.events, f.Events...)
	for _, one := range f.Tables {
		folder := path.Dir(one.File)
		if kind, _ := store.KindOf(one.File); kind == store.KindStaged {
			folder = ""
		}
		t.tables[folder] = append(slices.Clip(t.tables[folder]), one)
	}
}

// clone returns a tally to which more can be added.
func (t tally) clone() tally {
	t.at, t.tables, t.events = maps.Clone(t.at), maps.Clone(t.tables), slices.Clip(t.events)
	return t
}

// setFileLocked notes how many bytes of a file count. A run only appends to it.
func (ix *index) setFileLocked(e store.EventsFile) {
	old := ix.chunks[e.File]
	if n := len(old); n > 0 && old[n-1].end == e.Bytes {
		return
	}
	chunks := slices.DeleteFunc(slices.Clone(old), func(c *chunk) bool {
		gone := c.end%chunkBytes != 0 || c.end > e.Bytes
		if gone {
			ix.forget(c)
		}
		return gone
	})
	hour := int64(math.MaxInt64 / 2)
	const layout = "20060102T1504"
	if base := path.Base(e.File); len(base) > len(layout) {
		if t, err := time.Parse(layout, base[:len(layout)]); err == nil {
			hour = t.UnixMilli()
		}
	}
	for start := int64(len(chunks)) * chunkBytes; start < e.Bytes; start += chunkBytes {
		end := min(start+chunkBytes, e.Bytes)
		guess := hour + int64(float64(time.Hour.Milliseconds())*float64(end)/float64(e.Bytes))
		chunks = append(chunks, &chunk{file: e.File, start: start, end: end, bytes: e.Bytes, guess: guess})
	}
	ix.chunks[e.File] = chunks
}

// forget takes back what the summary of a chunk has counted.
func (ix *index) forget(c *chunk) {
	if s := c.summary.Load(); s != nil {
		ix.minutes -= len(s.minutes)
	}
}

// all returns all chunks, those with the newest faces first.
func (ix *index) all() []*chunk {
	ix.mu.Lock()
	var all []*chunk
	for _, chunks := range ix.chunks {
		all = append(all, chunks...)
	}
	ix.mu.Unlock()
	slices.SortFunc(all, func(a, b *chunk) int {
		_, x := a.bounds()
		_, y := b.bounds()
		return cmp.Or(cmp.Compare(y, x), cmp.Compare(b.file, a.file), cmp.Compare(b.start, a.start))
	})
	return all
}

// progress returns how many chunks there are, and how many were never read.
func (ix *index) progress() (all, unread int) {
	for _, c := range ix.all() {
		all++
		if c.summary.Load() == nil {
			unread++
		}
	}
	return all, unread
}

// summarize reads what was never read until ctx is over, the newest first.
func (ix *index) summarize(ctx context.Context) {
	for ; ctx.Err() == nil; _ = wait.Sleep(ctx, refreshAfter) {
		for _, c := range ix.all() {
			if c.summary.Load() == nil && ctx.Err() == nil {
				_, _ = ix.parse(ctx, c) // a page that needs it says what is wrong
			}
		}
	}
}

func (ix *index) camera(name string) int32 {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return int32(slices.Index(ix.cameras, name))
}

// names returns those of all cameras, by their number.
func (ix *index) names() []string {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return slices.Clone(ix.cameras)
}

func (ix *index) total() tally {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return ix.tally
}
