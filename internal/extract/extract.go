package extract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/parallel"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

const (
	readers = 8       // of pictures that are files
	tries   = 5       // of reading the books: a run moves events and rows
	maxLine = 1 << 20 // of events
	maxSaid = 10      // of what is missing
)

// copying is a command under way.
type copying struct {
	options
	cfg  store.Config
	to   sink
	say  *cli.Progress
	done done

	books           int     // files of ledgers
	frames, without int     // copied, and with none of the pictures that were asked for
	files, bytes    int     // copied
	moved           bool    // a file of a book could not be read, maybe because a run has moved it
	missing         []error // first ones of what could not be copied
	misses          int
}

// done are records, 64 to an entry.
type done map[record.ID]uint64

func (d done) bit(id record.ID) (key record.ID, bit uint64) {
	return record.In(store.TopicInNames(id.Topic), id.Partition).At(id.Offset / 64), 1 << (id.Offset % 64)
}

func (d done) has(id record.ID) bool {
	key, bit := d.bit(id)
	return d[key]&bit != 0
}

func (d done) add(id record.ID) {
	key, bit := d.bit(id)
	d[key] |= bit
}

// frame is what an output has of a record, and what was read of it.
type frame struct {
	store.Name
	pictures []store.Picture
	events   []string // lines
	files    []store.File
	err      error
}

func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	c := &copying{options: o, cfg: store.Config{Root: o.root}, say: cli.NewProgress(stderr), done: done{}}
	if c.to, err = newSink(o, stdout); err != nil {
		return err
	}
	for try := 0; try == 0 || c.moved && try < tries; try++ {
		c.moved, c.missing, c.misses, c.without = false, nil, 0, 0
		if err = store.Books(ctx, c.cfg, func(f store.BookFile) error { return c.book(ctx, f) }); err != nil {
			break
		}
	}
	if err == nil && c.books == 0 {
		err = cli.Usagef("--output: no run of facestream has written to %s", c.root)
	}
	if err = c.to.end(err); err != nil {
		return err
	}
	if o.tar == stdio {
		stdout = stderr
	}
	fmt.Fprintf(stdout, "frames: %d, files: %d, bytes: %d\n", c.frames, c.files, c.bytes)
	return c.verdict(stderr)
}

// verdict says what is missing.
func (c *copying) verdict(stderr io.Writer) error {
	if c.without > 0 {
		fmt.Fprintf(stderr, "frames with none of %[2]s stored: %[1]d\n", c.without, c.write.List())
	}
	for p, ranges := range c.records {
		for _, r := range ranges {
			for offset := r.First; offset <= r.Last; offset++ {
				if id := p.At(offset); !c.done.has(id) {
					c.miss(fmt.Errorf("%s: no picture of it is known", id))
				}
			}
		}
	}
	for _, err := range c.missing {
		fmt.Fprintln(stderr, err)
	}
	switch {
	case c.misses > 0:
		return fmt.Errorf("missing: %d, the first ones are above; verify may say why", c.misses)
	case c.frames == 0:
		return errors.New("there is no such picture")
	}
	return nil
}

func (c *copying) miss(err error) {
	if c.misses++; len(c.missing) < maxSaid {
		c.missing = append(c.missing, err)
	}
}

// book copies what a file of ledgers names. Only what cannot be copied by anybody is an
// error: a full disk, an interruption.
func (c *copying) book(ctx context.Context, f store.BookFile) error {
	c.books++
	if f.Err != nil {
		c.miss(f.Err)
	}
	for _, t := range f.Tables {
		if err := c.table(ctx, t); err != nil {
			return err
		}
	}
	inRows := map[string]bool{} // settings of runs whose pictures are rows
	for _, l := range f.Ledgers {
		inRows[l.Run.SettingsSHA256] = l.Run.Stored().Rows
	}
	for _, e := range f.Events {
		if err := c.events(ctx, e, f.Book != "", inRows); err != nil {
			return err
		}
	}
	return nil
}

// unread notes that a file of a book could not be read.
func (c *copying) unread(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.moved = true
	c.miss(fmt.Errorf("reading %s: %w", name, err))
	return nil
}

// table copies the rows of a table that count.
func (c *copying) table(ctx context.Context, t store.Table) error {
	if hour, dated := t.Hour(); dated && !c.overlaps(hour) {
		return nil
	}
	in, err := c.cfg.OpenTable(ctx, t.File)
	if err != nil {
		return c.unread(ctx, t.File, err)
	}
	defer in.Close()
	n := int64(0)
	for row, err := range in.Rows(t.Rows) {
		if err != nil {
			return c.unread(ctx, t.File, err)
		}
		n++
		if c.say.Say("%s: %d of %d rows; %d frames copied", t.File, n, t.Rows, c.frames); !c.wanted(row.ID, row.Camera, row.TimestampMillis) {
			continue
		}
		f := frame{Name: store.NameOf(&row), pictures: store.PicturesOf(&row)}
		if c.write.Events {
			if f.events, err = face.EventsOf(&row); err != nil {
				return c.unread(ctx, t.File, err)
			}
		}
		f = c.read(f, func(p store.Picture) ([]byte, error) { return p.Read(in.File, row.Nth) })
		if errors.Is(f.err, table.ErrDamaged) { // the other rows may be whole
			c.miss(fmt.Errorf("reading %s: %w", t.File, f.err))
			continue
		}
		if f.err != nil {
			return c.unread(ctx, t.File, f.err)
		}
		if err := c.add(ctx, f); err != nil {
			return err
		}
	}
	if n < t.Rows {
		return c.unread(ctx, t.File, fmt.Errorf("it has %d rows, and its ledger %d", n, t.Rows))
	}
	return nil
}

func (c *copying) wanted(id record.ID, camera string, millis int64) bool {
	return c.wants(id, camera, millis) && !c.done.has(id)
}

// events copies the pictures that are files and have events in a file.
func (c *copying) events(ctx context.Context, e store.EventsFile, counted bool, inRows map[string]bool) error {
	in, err := c.cfg.Open(ctx, e.File)
	if err != nil {
		return c.unread(ctx, e.File, err)
	}
	defer in.Close()
	from := io.Reader(in)
	if counted {
		from = io.LimitReader(in, e.Bytes)
	}
	var failed error // of what is to be written
	work := parallel.New[frame](readers)
	add := func(one frame) {
		if one.err != nil {
			c.miss(one.err)
		} else if failed == nil {
			failed = c.add(ctx, one)
		}
	}
	var f frame
	flush := func() error {
		if one := f; len(one.events) > 0 {
			err := work.Begin(func() (frame, error) {
				return c.read(one, func(p store.Picture) ([]byte, error) { return c.cfg.Read(ctx, p.Name) }), nil
			}, add)
			if err != nil {
				return err
			}
		}
		f = frame{}
		return errors.Join(failed, ctx.Err())
	}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		event, err := face.ParseEvent(lines.Bytes())
		c.say.Say("%s; %d frames copied", e.File, c.frames)
		if err != nil {
			c.miss(fmt.Errorf("%s: a line is no event: %w", e.File, err))
			continue
		}
		if inRows[event.SettingsSHA256] || !c.wanted(event.ID, event.Camera, event.TimestampMillis) {
			continue
		}
		if event.ID != f.ID || len(f.events) == 0 {
			if err := flush(); err != nil {
				return err
			}
			f.Name = store.Name{ID: event.ID, Camera: event.Camera, TimestampMillis: event.TimestampMillis}
			f.add(event.Picture, event.Annotated)
		}
		f.add(event.Crop)
		f.events = append(f.events, lines.Text())
	}
	if err := errors.Join(flush(), work.Finish(add), failed); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return c.unread(ctx, e.File, err)
	}
	return nil
}

// add adds pictures by their names. What has no name of a picture could lead anywhere.
func (f *frame) add(names ...string) {
	for _, name := range names {
		if p, _, ok := store.ParsePicture(name); ok {
			f.pictures = append(f.pictures, p)
		}
	}
}

// read returns a frame with its files, or why they cannot be read.
func (c *copying) read(f frame, picture func(store.Picture) ([]byte, error)) frame {
	folder := path.Dir(f.Path())
	for _, p := range f.pictures {
		folder = path.Dir(p.Name)
		if !map[store.Kind]bool{store.KindPicture: c.write.Frame, store.KindAnnotated: c.write.Annotated, store.KindFace: c.write.Crops}[p.Kind] {
			continue
		}
		data, err := picture(p)
		if err != nil {
			f.err = fmt.Errorf("%s: %w", p.Name, err)
			return f
		}
		f.files = append(f.files, store.File{Name: p.Name, Data: data})
	}
	if c.write.Events && (len(f.files) > 0 || !c.write.Pictures()) {
		data := "[" + strings.Join(f.events, ",\n ") + "]\n"
		f.files = append(f.files, store.File{Name: folder + "/" + store.RecordName(f.ID) + ".json", Data: []byte(data)})
	}
	return f
}

// add writes a frame.
func (c *copying) add(ctx context.Context, one frame) error {
	if len(one.files) == 0 {
		c.without++
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.to.add(one); err != nil {
		return err
	}
	for _, f := range one.files {
		c.files, c.bytes = c.files+1, c.bytes+len(f.Data)
	}
	c.frames++
	c.done.add(one.ID)
	return nil
}
