package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

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
	cfg   store.Config
	local *os.Root // nil unless the output is a folder of this machine

	refreshing sync.Mutex
	refreshed  time.Time
	purgedAt   time.Time       // when something was purged last
	purged     func()          // is called then
	over       map[string]bool // files of ledgers that never change again
	overTally  tally           // of these

	mu      sync.Mutex
	chunks  map[string][]*chunk // by file
	final   map[string]bool     // files of ledgers that are over
	tally   tally
	cameras []string

	overTables map[string][]store.Table // by folder, of hours that are over
	nowTables  []store.Table            // of all others
	numbers    map[string]int32         // of cameras

	minutes atomic.Int64
	cache   *lru.Cache[*chunk, []event]
	changed chan struct{}
	tables  *tables
}

// tally is what the ledgers say of the whole output.
type tally struct {
	Sum       store.Partition
	Latest    store.Latest
	Books     map[string]book
	Unread    int // files that cannot be understood
	HasEvents bool
}

// book is where a group stands.
type book struct {
	Group     string
	Positions []store.Position
}

func openIndex(ctx context.Context, root string) (*index, error) {
	ix := &index{
		cfg: store.Config{Root: root}, over: map[string]bool{}, final: map[string]bool{}, chunks: map[string][]*chunk{},
		numbers: map[string]int32{}, cache: newCache[*chunk, []event](cachedChunks), changed: make(chan struct{}, 1),
		purged:     func() {},
		overTables: map[string][]store.Table{}, tables: newTables(),
	}
	var err error
	if !strings.Contains(root, "://") {
		if ix.local, err = os.OpenRoot(root); err != nil {
			return nil, err
		}
	}
	names, err := ix.cfg.Glob(ctx, "_*")
	if err != nil {
		return nil, fmt.Errorf("looking into %s: %w", root, err)
	}
	for _, name := range names {
		switch name {
		case "_windows", "_leases", "_tmp", "_events":
			return ix, ix.refresh(ctx)
		}
	}
	return nil, fmt.Errorf("%s: %w", root, errNoOutput)
}

var errNoOutput = errors.New("no run of facestream has written there")

// open opens a file below the root. On this machine, no link leads out of it.
func (ix *index) open(ctx context.Context, name string) (io.ReadCloser, error) {
	if ix.local != nil {
		return ix.local.Open(name)
	}
	return ix.cfg.Open(ctx, name)
}

// read returns a whole file of at most so many bytes.
func (ix *index) read(ctx context.Context, name string, most int64) ([]byte, error) {
	in, err := ix.open(ctx, name)
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
		over := f.Err == nil && strings.Count(f.Name, "/") != 2
		if over {
			ix.addOver(f)
			return nil
		}
		changing = append(changing, f)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the ledgers: %w", err)
	}
	now := ix.overTally
	now.Books = maps.Clone(now.Books)
	files := map[string]store.EventsFile{}
	var tables []store.Table
	for _, f := range changing {
		now.add(f)
		for _, e := range f.Events {
			files[e.File] = e
		}
		tables = append(tables, f.Tables...)
	}
	ix.mu.Lock()
	for _, e := range files {
		ix.setFileLocked(e)
	}
	ix.dropLocked(func(name string) bool {
		_, found := files[name]
		return !found && !ix.final[name]
	})
	ix.tally, ix.nowTables = now, tables
	ix.mu.Unlock()
	// On a file system that takes long, look less often.
	ix.refreshed = time.Now().Add(9 * time.Since(began))
	select {
	case ix.changed <- struct{}{}:
	default:
	}
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
	ix.final, ix.overTables = map[string]bool{}, map[string][]store.Table{}
	ix.mu.Unlock()
	ix.cache.Purge()
	ix.purged()
}

// addOver adds a file of ledgers that never changes again.
func (ix *index) addOver(f store.BookFile) {
	ix.over[f.Name] = true
	ix.overTally.add(f)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, e := range f.Events {
		ix.setFileLocked(e)
		ix.final[e.File] = true
	}
	for _, t := range f.Tables {
		folder := path.Dir(t.File)
		ix.overTables[folder] = append(ix.overTables[folder], t)
	}
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
		if f.Book != "" {
			if t.Books == nil {
				t.Books = map[string]book{}
			}
			t.Books[f.Book] = book{l.Run.Group, f.Positions}
		}
	}
	t.Sum = sum.Sum()
	t.HasEvents = t.HasEvents || len(f.Events) > 0
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
		ix.minutes.Add(-int64(len(s.minutes)))
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
	for {
		for _, c := range ix.all() {
			if ctx.Err() != nil {
				return
			}
			if c.summary.Load() == nil {
				_, _ = ix.parse(ctx, c) // a page that needs it says what is wrong
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ix.changed:
		}
	}
}

func (ix *index) camera(name string) int32 {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if n, known := ix.numbers[name]; known {
		return n
	}
	return others
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
