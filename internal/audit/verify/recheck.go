package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"facestream/internal/audit"
	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// errModel is wrapped by the error of newChecker when a cascade or network that a window was done
// with is not among the files.
var errModel = errors.New("the cascade or model of a ledger is missing: give --cascade=FILE or --model=FILE")

// keptTables are open at a time: partitions that are read side by side may be in different hours.
const keptTables = 8

// checker makes the files of records once more, with the settings that their ledgers name,
// and compares them with those that are stored.
type checker struct {
	config store.Config
	chosen map[record.ID]audit.Chosen
	makers map[string]*maker // by the SHA-256 of the settings
	events map[audit.EventAt]face.Event
	tables *lru.Cache[string, *store.OpenTable] // by their names
}

// newChecker returns a checker of records that were chosen. models are the files to choose
// from by their SHA-256; settings are those of ledgers, by theirs. What cannot be
// understood of these is left out.
func newChecker(ctx context.Context, cfg store.Config, models []string, chosen []audit.Chosen, settings map[string]json.RawMessage) (*checker, error) {
	tables, err := lru.NewWithEvict(keptTables, func(_ string, t *store.OpenTable) { t.Close() })
	c := &checker{config: cfg, chosen: map[record.ID]audit.Chosen{}, makers: map[string]*maker{}, events: map[audit.EventAt]face.Event{}, tables: tables}
	for _, one := range chosen {
		c.chosen[one.ID] = one
		for _, l := range one.Ledgers {
			if err == nil {
				err = c.addMaker(l, settings[l.Settings], models)
			}
		}
		for _, at := range one.Events {
			if err == nil {
				c.events[at], err = readEvent(ctx, cfg, at)
			}
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// addMaker makes a maker for the settings of a ledger, if there is none yet.
func (c *checker) addMaker(l audit.OfLedger, settings json.RawMessage, models []string) error {
	var s face.Settings
	if c.makers[l.Settings] != nil || json.Unmarshal(settings, &s) != nil {
		return nil
	}
	m, err := newMaker(s, models)
	if err != nil {
		return fmt.Errorf("ledger %s: %w", l.Name, err)
	}
	c.makers[l.Settings] = m
	return nil
}

// close ends the use of OpenCV and of tables.
func (c *checker) close() {
	c.tables.Purge()
	for _, m := range c.makers {
		m.detector.Close()
	}
}

// check adds to counts what came of a record that was chosen. Each difference is a
// problem; an error means that the record could not be checked.
func (c *checker) check(ctx context.Context, r kafka.Record, counts *audit.Recheck) ([]audit.Problem, error) {
	// The settings of the last window come first. Files and events may be of different
	// windows: older versions took events back when a record was read again.
	one := c.chosen[kafka.ID(&r)]
	var files, events problems
	tried := map[string]bool{}
	for _, l := range one.Ledgers {
		m := c.makers[l.Settings]
		if m == nil || tried[l.Settings] || m.less && !l.Lists {
			continue
		}
		tried[l.Settings] = true
		if files.same && events.same { // only the settings are counted
			continue
		}
		wanted, lines, err := m.files(&r, slices.ContainsFunc(one.Ledgers, func(o audit.OfLedger) bool { return o.Settings == l.Settings && o.Listed }))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.ID, err)
		}
		found, err := c.compare(ctx, one, l, wanted)
		if err != nil {
			return nil, err
		}
		files.add(l.Name, found)
		if found, err = c.compareEvents(one, l.Group, lines); err != nil {
			return nil, err
		}
		events.add(l.Name, found)
	}
	switch {
	case len(tried) == 0:
		return nil, nil
	case len(tried) > 1:
		counts.Mixed++
	}
	counts.Records++
	if files.same && events.same {
		return nil, nil
	}
	counts.Differ++
	return append(files.first, events.first...), nil
}

// problems are those of one record, with the settings of each window in turn.
type problems struct {
	same  bool // with the settings of one window there are none
	first []audit.Problem
}

func (p *problems) add(ledger string, found []audit.Problem) {
	switch {
	case len(found) == 0:
		p.same, p.first = true, nil
	case !p.same && p.first == nil:
		for i := range found {
			found[i].Ledger = ledger
		}
		p.first = found
	}
}

// compare compares the files that a record gives with those that are stored.
func (c *checker) compare(ctx context.Context, one audit.Chosen, l audit.OfLedger, files []store.File) (problems []audit.Problem, err error) {
	there := map[string]audit.Stored{} // not those of other groups' rows
	for _, f := range one.Files {
		_, _, picture := store.ParsePicture(f.Name)
		if !picture || f.Table == "" && !l.Rows || l.Rows && f.Group == l.Group {
			there[f.Name] = f
		}
	}
	for _, f := range files {
		got, err := c.read(ctx, f.Name, there[f.Name])
		delete(there, f.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			problems = append(problems, differs(one.ID, f.Name, "%s is what the record gives, and it is not there", f.Name))
		case errors.Is(err, errDamaged):
			problems = append(problems, differs(one.ID, f.Name, "%s is what the record gives: %v", f.Name, err))
		case err != nil:
			return nil, err
		case !bytes.Equal(got, f.Data):
			problems = append(problems, differs(one.ID, f.Name, "%s has %d bytes, which are not the %d that the record gives", f.Name, len(got), len(f.Data)))
		}
	}
	for name := range there {
		problems = append(problems, differs(one.ID, name, "%s is there, and the record does not give it", name))
	}
	return problems, nil
}

// errDamaged is wrapped by the error of a row that cannot be read.
var errDamaged = errors.New("a row is damaged")

// read reads a file, or what the row of a table has instead.
func (c *checker) read(ctx context.Context, name string, at audit.Stored) ([]byte, error) {
	if at.Table == "" {
		return c.config.Read(ctx, name)
	}
	t, kept := c.tables.Get(at.Table)
	if !kept {
		var err error
		t, err = c.config.OpenTable(ctx, at.Table)
		if errors.Is(err, fs.ErrNotExist) { // a run has published it
			return store.ReadPicture(ctx, c.config, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		c.tables.Add(at.Table, t)
	}
	p, _, _ := store.ParsePicture(name) // a row has nothing else
	data, err := p.Read(t.File, at.Row)
	if err != nil && kept { // a run may have replaced it
		c.tables.Remove(at.Table)
		return c.read(ctx, name, at)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamaged, at, err)
	}
	return data, nil
}

// differs is the problem that a record gives something else than what is stored.
func differs(id record.ID, file, text string, args ...any) audit.Problem {
	at := id.Range()
	return audit.Problem{
		Kind: audit.Differs, Topic: id.Topic, Partition: &id.Partition, Offsets: &at, File: file,
		Text: fmt.Sprintf("%s: ", id) + fmt.Sprintf(text, args...),
	}
}

// maker makes the files of records with some settings.
type maker struct {
	config   frame.Config
	less     bool // not every frame with a face was stored
	detector *face.Detector
	output   face.Output
}

func newMaker(s face.Settings, models []string) (*maker, error) {
	cfg, params, output, err := s.Parts(models)
	if err == nil {
		err = params.Validate() // the settings are a ledger's
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errModel, err)
	}
	detector, err := face.NewDetector(params)
	if err != nil {
		return nil, err
	}
	return &maker{cfg, s.MaxFPS > 0 || s.Cooldown > 0, detector, output}, nil
}

// files makes the files and events of a record, as the pipeline does. Other records
// decide whether it was left out because of max_fps or cooldown, so the ledger tells:
// without a file in it, the record gives nothing.
func (m *maker) files(r *kafka.Record, listed bool) ([]store.File, []string, error) {
	if m.less && !listed {
		return nil, nil, nil
	}
	f, reject := frame.Parse(m.config, r)
	if reject != nil {
		files, err := store.RejectFiles(*reject)
		return files, nil, err
	}
	found, err := m.detector.Detect(f)
	if reject := face.Reject(m.config, f, err); reject != nil {
		files, err := store.RejectFiles(*reject)
		return files, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	entry, err := face.Files(m.output, found)
	return entry.Files, entry.Events, err
}

// compareEvents compares the events that a record gives with those of a group. How long
// detection took is not compared.
func (c *checker) compareEvents(one audit.Chosen, group string, lines []string) ([]audit.Problem, error) {
	var want, got []face.Event
	for _, line := range lines {
		e, err := parseEvent([]byte(line))
		if err != nil {
			return nil, err
		}
		want = append(want, e)
	}
	for _, at := range one.Events {
		if at.Group == group {
			got = append(got, c.events[at])
		}
	}
	slices.SortStableFunc(got, func(a, b face.Event) int { return cmp.Compare(a.Face, b.Face) })
	if reflect.DeepEqual(got, want) {
		return nil, nil
	}
	return []audit.Problem{differs(one.ID, "", "there are %d events, which are not the %d that the record gives", len(got), len(want))}, nil
}

// readEvent reads the line of events at a place.
func readEvent(ctx context.Context, cfg store.Config, at audit.EventAt) (e face.Event, err error) {
	in, err := cfg.Open(ctx, at.File)
	if err != nil {
		return e, err
	}
	defer in.Close()
	var line []byte
	if _, err = in.Seek(at.At, io.SeekStart); err == nil {
		line, err = bufio.NewReader(in).ReadBytes('\n')
	}
	if err == nil || errors.Is(err, io.EOF) {
		e, err = parseEvent(line)
	}
	if err != nil {
		err = fmt.Errorf("reading %s: %w", at.File, err)
	}
	return e, err
}

func parseEvent(line []byte) (face.Event, error) {
	e, err := face.ParseEvent(line)
	e.DetectMillis = 0
	return e, err
}
