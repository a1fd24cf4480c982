package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// window is one that is not gathered.
type window struct {
	name   string
	ledger Ledger
}

// A shelf is the files of a book.
type shelf struct {
	hour       Hour
	windows    []window // in order of number
	held       []string // windows whose events are staged, and that are gathered or were not kept
	done       []string // files that are gathered, or that belong to no window
	unreadable []string
}

// last returns the number, the positions and the run of the last window.
func (s shelf) last() (last Ledger) {
	if n := len(s.windows); n > 0 {
		return s.windows[n-1].ledger
	}
	if n := len(s.hour.Ledgers); n > 0 {
		last.Run = s.hour.Ledgers[n-1].Run
	}
	last.Number, last.Positions = s.hour.Number, s.hour.Positions
	return last
}

// readShelf reads a book's newest hour and the windows behind it. If that hour cannot be
// read, it is the one before.
func readShelf(ctx context.Context, cfg Config, dir string) (s shelf, err error) {
	names, err := cfg.Glob(ctx, dir+"/*")
	if err != nil {
		return s, err
	}
	take := func(name string, into any) (ok bool, err error) {
		err = readJSON(ctx, cfg, name, into)
		if unreadable(err) {
			s.unreadable = append(s.unreadable, name)
			return false, nil
		}
		return err == nil, ignoreGone(err)
	}
	if slices.Contains(names, dir+"/"+hourFile) {
		ok, err := take(dir+"/"+hourFile, &s.hour)
		var hours []string
		if err == nil && !ok {
			hours, err = archivedHours(ctx, cfg, dir)
		}
		for ; err == nil && !ok && len(hours) > 0; hours = hours[:len(hours)-1] {
			s.hour = Hour{}
			ok, err = take(hours[len(hours)-1], &s.hour)
		}
		if err != nil {
			return s, err
		}
		if !ok {
			s.hour = Hour{}
		}
	}
	for _, name := range names {
		if path.Ext(name) != ledgerExtension || path.Base(name) == hourFile {
			continue
		}
		var l Ledger
		read := len(s.unreadable)
		ok, err := take(name, &l)
		if err != nil {
			return s, err
		}
		if !ok && read == len(s.unreadable) { // it is gone: a run has gathered it
			return readShelf(ctx, cfg, dir)
		}
		if ok && l.Number > s.hour.Number {
			s.windows = append(s.windows, window{windowOf(name), l})
		} else if ok {
			s.done = append(s.done, name)
		}
	}
	slices.SortFunc(s.windows, func(a, b window) int {
		return cmp.Or(cmp.Compare(a.ledger.Number, b.ledger.Number), cmp.Compare(a.name, b.name))
	})
	// Of two with one number, the first is by a run that was stopped until another one had
	// its lease: its records were read again.
	for i := len(s.windows) - 2; i >= 0; i-- {
		if w := s.windows[i]; w.ledger.Number == s.windows[i+1].ledger.Number {
			s.done = append(s.done, dir+"/"+w.name+ledgerExtension)
			s.windows = slices.Delete(s.windows, i, i+1)
		}
	}
	for _, name := range names {
		counts := func(w window) bool { return w.name == windowOf(name) }
		if ext := path.Ext(name); ext != eventsExtension && ext != tableExtension || slices.ContainsFunc(s.windows, counts) {
			continue
		}
		if slices.Contains(s.unreadable, dir+"/"+windowOf(name)+ledgerExtension) {
			s.unreadable = append(s.unreadable, name)
		} else if cfg.HoldEvents && path.Ext(name) == eventsExtension {
			s.held = append(s.held, windowOf(name))
		} else {
			s.done = append(s.done, name)
		}
	}
	return s, nil
}

// BookFile is a file with ledgers of an output: that of an hour, or of one window, which
// has no number and no positions in older versions. The events and tables of a window that
// is not gathered are those that are staged.
type BookFile struct {
	Name string // below the root
	Book string // the folder of its book, below the root; empty for a window of an older version
	Hour
	Err error // why it cannot be read; then there is nothing but its name
}

// hour is what the window's hour would be without others.
func (w window) hour(dir string) Hour {
	h := Hour{Number: w.ledger.Number, Ledgers: []Ledger{w.ledger}, Positions: w.ledger.Positions}
	if n := w.ledger.Sum(); n.Events > 0 {
		h.Events = []EventsFile{{dir + "/" + w.name + eventsExtension, n.EventBytes}}
	}
	for _, t := range w.ledger.Tables {
		t.File = dir + "/" + path.Base(t.File)
		h.Tables = append(h.Tables, t)
	}
	return h
}

// Books calls visit with all ledgers of an output: those of older versions, then book by
// book the hours in order and the windows that are not gathered. A file that cannot be
// understood is no error of Books.
func Books(ctx context.Context, cfg Config, visit func(BookFile) error) error {
	return NewBooks(ctx, cfg, func(string) bool { return false }, visit)
}

// NewBooks is Books without files that are known and that no run changes any more: those of
// older versions and of hours that are over.
func NewBooks(ctx context.Context, cfg Config, known func(name string) bool, visit func(BookFile) error) error {
	flat, err := flatLedgers(ctx, cfg)
	if err != nil {
		return err
	}
	for _, name := range slices.DeleteFunc(flat, known) {
		l, err := readLedger(ctx, cfg, name)
		h := Hour{Ledgers: []Ledger{l}}
		if n := l.Sum(); n.Events > 0 {
			h.Events = []EventsFile{{eventsPath(windowOf(name)), n.EventBytes}}
		}
		if err := visitRead(visit, BookFile{Name: name, Hour: h}, err); err != nil {
			return err
		}
	}
	folders, err := bookFolders(ctx, cfg)
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if err := readBook(ctx, cfg, dir, known, visit); err != nil {
			return err
		}
	}
	return nil
}

// visitRead calls visit with a file that was read, or with why it cannot be understood.
func visitRead(visit func(BookFile) error, f BookFile, err error) error {
	if unreadable(err) {
		f, err = BookFile{Name: f.Name, Book: f.Book, Err: err}, nil
	}
	if err != nil {
		return err
	}
	return visit(f)
}

func readBook(ctx context.Context, cfg Config, dir string, known func(name string) bool, visit func(BookFile) error) error {
	last := "" // that was visited
	visitHours := func(names []string) error {
		for _, name := range names {
			if last = name; known(name) {
				continue
			}
			f := BookFile{Name: name, Book: dir}
			err := readJSON(ctx, cfg, name, &f.Hour)
			if err := visitRead(visit, f, err); err != nil {
				return err
			}
		}
		return nil
	}
	// A run may go on, and these take the longest. The last one may be the newest hour's, too.
	hours, err := archivedHours(ctx, cfg, dir)
	if err != nil {
		return err
	}
	if err := visitHours(hours[:max(0, len(hours)-1)]); err != nil {
		return err
	}
	newest, err := readShelf(ctx, cfg, dir)
	if err != nil {
		return err
	}
	aside, err := cfg.Glob(ctx, dir+"/*"+unreadableExtension)
	if err != nil {
		return err
	}
	for _, name := range append(aside, newest.unreadable...) {
		err := readJSON(ctx, cfg, name, new(Hour))
		if err == nil {
			err = errors.New("it was set aside, because it could not be read")
		}
		if err := visit(BookFile{Name: name, Book: dir, Err: err}); err != nil {
			return err
		}
	}
	if hours, err = archivedHours(ctx, cfg, dir); err != nil {
		return err
	}
	hours = slices.DeleteFunc(hours, func(name string) bool {
		return name <= last || newest.hour.Number > 0 && name >= archived(dir, newest.hour.Hour) || slices.Contains(newest.unreadable, name)
	})
	if err := visitHours(hours); err != nil {
		return err
	}
	if newest.hour.Number > 0 {
		if err := visit(BookFile{Name: dir + "/" + hourFile, Book: dir, Hour: newest.hour}); err != nil {
			return err
		}
	}
	for _, w := range newest.windows {
		if err := visit(BookFile{Name: dir + "/" + w.name + ledgerExtension, Book: dir, Hour: w.hour(dir)}); err != nil {
			return err
		}
	}
	return nil
}

func archivedHours(ctx context.Context, cfg Config, dir string) ([]string, error) {
	return cfg.Glob(ctx, dir+"/*/*"+ledgerExtension)
}

func archived(dir, hour string) string {
	return fmt.Sprintf("%s/%s/%s%s", dir, hour[:monthOfHour], strings.TrimPrefix(hour[monthOfHour:], "-"), ledgerExtension)
}

func bookFolders(ctx context.Context, cfg Config) ([]string, error) {
	names, err := cfg.Glob(ctx, ledgerFolder+"/*/*")
	for i := range names {
		names[i] = path.Dir(names[i])
	}
	return slices.Compact(names), err
}

// flatLedgers returns the files of windows of an older version, in order of time.
func flatLedgers(ctx context.Context, cfg Config) ([]string, error) {
	return cfg.Glob(ctx, ledgerFolder+"/*"+ledgerExtension)
}

// windowOf returns the name of a window by that of one of its files.
func windowOf(file string) string {
	window, _, _ := strings.Cut(strings.TrimSuffix(path.Base(file), path.Ext(file)), tableMark)
	return window
}

// errMalformed is wrapped by the error of a file that is JSON and no ledger.
var errMalformed = errors.New("not a ledger")

// valid returns an error that wraps errMalformed if the numbers of a window or an hour
// cannot be those that a Book gives.
func valid(number int64, hour string) error {
	if _, err := time.Parse(hourName, hour); err != nil || number < 1 {
		return fmt.Errorf("%w: number %d, hour %q", errMalformed, number, hour)
	}
	return nil
}

// readJSON reads a file of a book. Of one that is not what it should be, the error is
// unreadable.
func readJSON(ctx context.Context, cfg Config, name string, into any) error {
	data, err := cfg.Read(ctx, name)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err == nil && path.Dir(name) != ledgerFolder && !strings.HasPrefix(name, tmpDir) {
		switch v := into.(type) {
		case *Hour:
			err = valid(v.Number, v.Hour)
		case *Ledger:
			err = valid(v.Number, noHour)
		}
	}
	if err != nil {
		return fmt.Errorf("reading the ledger %s: %w", cfg.path(name), err)
	}
	return nil
}

func unreadable(err error) bool {
	return errors.As(err, new(*json.SyntaxError)) || errors.As(err, new(*json.UnmarshalTypeError)) || errors.Is(err, errMalformed)
}
