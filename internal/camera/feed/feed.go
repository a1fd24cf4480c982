// Package feed sends videos to a Kafka topic, one record a picture.
package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/video"
	"facestream/internal/kafkaconf"
	"facestream/internal/record"
	"facestream/internal/wait"
	"facestream/transforms/frame"
)

// The formats of a record's value.
const (
	JPEG = frame.JPEG // a JPEG file
	PNG  = frame.PNG  // a PNG file
	Raw  = "raw"      // Width*Height*3 bytes: blue, green, red
)

// Formats are all of them.
var Formats = []string{JPEG, PNG, Raw}

const (
	connectTimeout  = 15 * time.Second // until a broker answers
	dialTimeout     = 3 * time.Second  // until another one is asked
	patience        = 5 * time.Second  // without an acknowledgement, until a line says so
	stopTimeout     = 10 * time.Second // for what is under way when the caller cancels
	liveRecords     = 16               // of a live camera, that Kafka has not acknowledged
	mostUnusable    = 100              // pictures before the first that can be sent
	mostNamed       = 10               // pictures that were passed over, of a camera
	progressEvery   = time.Second
	bufferedRecords = 1000
	bufferedBytes   = 32 << 20
)

// Config says what is sent where.
type Config struct {
	Brokers    []string         // Required, but for DryRun. HOST:PORT each.
	Topic      string           // Required. Made if it is missing.
	Partitions int32            // Required. Of a topic that is missing, 1 or more; a topic that is there keeps its own.
	Security   kafkaconf.Config // Optional. How to be let in by the brokers.
	Camera     string           // Required by Send. Key and camera header of every record.
	ByCamera   bool             // Optional. All of a camera's pictures go to the partition of its name. Without it, picture i goes to partition i modulo their number.
	Format     string           // Required. One of Formats.
	Quality    int              // Optional. Of JPEGs, 1 to 100; 0 stands for a source's own files, and video.JPEGQuality where it has none.
	Frames     int              // Optional. Send no more than so many of each camera; 0 stands for all.
	FPS        float64          // Optional. Pictures a second of each camera; 0 stands for as fast as possible. A live source loses those that are too many.
	RealTime   bool             // Optional. Send a video file at its own pace; not together with FPS.
	DryRun     bool             // Optional. Do everything but send: no broker is asked.
	// Optional. Fail when Kafka has acknowledged nothing for so long; 0 stands for never.
	GiveUp time.Duration
	// Optional. Prints one line a second and camera, and notes; several goroutines call it.
	Progress func(format string, args ...any)
	// Optional. Is told the totals each second, and why frames do not arrive if they do not.
	Watch func(totals []Total, wants string)
}

// Camera is one of several videos.
type Camera struct {
	Name   string // Required. Key and camera header of every record.
	Source video.Source
}

// Sent is one picture that Kafka has acknowledged.
type Sent struct {
	Camera string       `json:"camera"`
	Frame  int          `json:"frame"` // index in what was sent of the video, from 0
	Faces  []record.Box `json:"faces"` // as the source gave them
	record.ID
	TimestampMillis int64  `json:"timestamp_millis"` // the record's, UTC, since 1970
	Format          string `json:"format"`           // one of Formats
	Bytes           int    `json:"bytes"`            // of the value
}

// Total is what Kafka has acknowledged of one camera or, of a dry run, what it
// was spared.
type Total struct {
	Camera        string
	Width, Height int // of the first picture
	Frames        int
	Bytes         int64 // of the values
	Least, Most   int   // bytes of one value
	Faces         int   // as the source gave them
	WithFaces     int   // frames that have any
	Passed        int   // pictures that could not be read or encoded
	Dropped       int64 // pictures of a live source that were not sent in time
}

// Send sends one source's pictures, as SendAll does. It returns what Kafka has
// acknowledged, in the order of the video, also together with an error.
func Send(ctx context.Context, cfg Config, source video.Source) ([]Sent, error) {
	var sent []Sent
	_, err := SendAll(ctx, cfg, []Camera{{cfg.Camera, source}}, func(s Sent) { sent = append(sent, s) })
	slices.SortFunc(sent, func(a, b Sent) int { return a.Frame - b.Frame })
	return sent, err
}

// SendAll sends the pictures of all cameras side by side; each partition is in
// the order of each of the videos. The first picture of all is read before
// anything is made in Kafka. Afterwards an error of one source ends that camera
// only, and one of Kafka all of them. While Kafka is away, it is waited for: pictures
// of a live source are then dropped, oldest first. A picture that cannot be read or
// encoded is passed over; it is an error if none can be sent.
//
// A record's timestamp is when its picture was taken: when a live source gave
// it, else when it is due at the pace asked for, else now.
//
// Each is called with every picture that Kafka has acknowledged, by one
// goroutine at a time; it may be nil. The totals, in the order of the cameras,
// also come together with an error. When ctx is cancelled, SendAll waits for what
// is under way and returns ctx's error, if no other came first. It closes no
// source but a video.Live, which nothing else keeps from waiting.
func SendAll(ctx context.Context, cfg Config, cameras []Camera, each func(Sent)) ([]Total, error) {
	s := &sender{cfg: cfg, each: each, trouble: &trouble{}}
	most := 0
	for _, camera := range cameras {
		size, err := s.add(camera)
		if err != nil {
			return nil, fmt.Errorf("camera %s: %w", camera.Name, err)
		}
		most = max(most, size)
	}
	if !cfg.DryRun {
		var err error
		if s.topic, err = prepareTopic(ctx, cfg, most, s.note); err != nil {
			return nil, err
		}
		if s.client, err = newProducer(cfg, s.topic.maxBytes, s.trouble); err != nil {
			return nil, fmt.Errorf("making a Kafka producer: %w", err)
		}
		defer s.client.Close()
	}

	// What is under way outlives ctx for a while, to be counted rightly.
	delivery, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })()
	playing, stop := context.WithCancel(ctx)
	defer stop()
	s.cancel = func() { stop(); cancel() }

	done := make(chan struct{})
	var reporter, players sync.WaitGroup
	reporter.Go(func() { s.report(done) })
	for _, c := range s.cameras {
		players.Go(func() { c.err = s.play(playing, delivery, c) })
	}
	players.Wait()
	s.flush(delivery)
	close(done)
	reporter.Wait()
	return s.outcome(ctx)
}

// newProducer returns a client that sends batches of up to maxBytes.
func newProducer(cfg Config, maxBytes int32, trouble *trouble) (*kgo.Client, error) {
	return kgo.NewClient(append(cfg.Security.Options(),
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.DialTimeout(dialTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// JPEGs do not get smaller, and raw frames are to arrive as large as they are.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxBytes),
		kgo.MaxBufferedRecords(bufferedRecords),
		kgo.MaxBufferedBytes(max(bufferedBytes, int(maxBytes))),
		// Nothing is sent after a failure, so that nothing can be doubled.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.WithLogger(trouble),
	)...)
}

// sender is one SendAll.
type sender struct {
	cfg     Config
	each    func(Sent)
	topic   topic
	client  *kgo.Client // nil in a dry run
	cancel  func()      // ends every camera and every delivery
	cameras []*camera
	trouble *trouble

	mu      sync.Mutex // of the totals, each, and what follows
	err     error      // of the first record that failed
	pending int        // records that Kafka has not acknowledged
	acked   time.Time  // when it did so last, or when the first of these was sent
}

// camera is one camera of a sender.
type camera struct {
	Camera
	first video.Picture
	total Total
	err   error // why it ended before its end
	// Holds a place for each record on its way, of a live source; else nil.
	places chan struct{}
}

// add takes a camera, if its first picture can be sent, and returns the bytes
// that a picture of it may have.
func (s *sender) add(c Camera) (int, error) {
	to := &camera{Camera: c, total: Total{Camera: c.Name}}
	if _, ok := c.Source.(video.Live); ok {
		to.places = make(chan struct{}, liveRecords)
	}
	var first error
	for to.total.Passed < mostUnusable {
		picture, err := c.Source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var value []byte
		if err == nil {
			value, _, err = encode(s.cfg, picture)
		}
		if err == nil {
			to.first, to.total.Width, to.total.Height = picture, picture.Width, picture.Height
			s.cameras = append(s.cameras, to)
			// Enough for any JPEG of the first picture's size, too.
			return max(picture.Width*picture.Height*frame.BytesPerPixel(frame.BGR), len(value)), nil
		}
		if !s.pass(to, err) {
			return 0, err
		}
		first = cmp.Or(first, err)
	}
	if first != nil {
		return 0, fmt.Errorf("none of %d pictures can be sent; the first: %w", to.total.Passed, first)
	}
	return 0, errors.New("the source has no picture")
}

// pass reports whether an error is of one picture only, which it counts and names.
func (s *sender) pass(c *camera, err error) bool {
	if _, ok := errors.AsType[video.Unusable](err); !ok {
		return false
	}
	s.mu.Lock()
	c.total.Passed++
	n := c.total.Passed
	s.mu.Unlock()
	switch {
	case n < mostNamed:
		s.note("%s: passed over: %v", c.Name, err)
	case n == mostNamed:
		s.note("%s: passed over: %v; more are only counted", c.Name, err)
	}
	return true
}

// play sends a camera's first picture and those after it.
func (s *sender) play(ctx, delivery context.Context, c *camera) error {
	if live, ok := c.Source.(video.Live); ok {
		defer context.AfterFunc(ctx, func() { live.Close() })()
	}
	picture, pace := c.first, pacer{s.cfg, time.Now(), c.first.Taken}
	for i := 0; ; {
		taken, wanted := pace.next(i, picture)
		if err := wait.Sleep(ctx, time.Until(taken)); err != nil {
			return err
		}
		if wanted {
			err := s.send(ctx, delivery, c, i, picture, taken)
			switch {
			case err == nil:
				i++
			case !s.pass(c, err):
				return err
			}
		}
		if s.cfg.Frames > 0 && i == s.cfg.Frames {
			return nil
		}
		var err error
		for picture, err = c.Source.Next(); err != nil && s.pass(c, err) && ctx.Err() == nil; {
			picture, err = c.Source.Next()
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if len(s.cameras) > 1 { // the others go on, so this is told now
				s.note("camera %s has ended: %v", c.Name, err)
			}
			return err
		}
	}
}

// outcome is what SendAll returns.
func (s *sender) outcome(ctx context.Context) ([]Total, error) {
	var totals []Total
	var errs []error
	stopped := false
	for _, c := range s.cameras {
		totals = append(totals, s.totalOf(c))
		switch {
		case c.err == nil:
		case ctx.Err() != nil && errors.Is(c.err, ctx.Err()):
			stopped = true
		default:
			errs = append(errs, fmt.Errorf("camera %s: %w", c.Name, c.err))
		}
	}
	switch {
	case s.err != nil: // the root cause of later errors
		return totals, s.err
	case stopped && len(errs) == 0:
		return totals, ctx.Err()
	}
	return totals, errors.Join(errs...)
}

// pacer says when a camera's pictures are sent.
type pacer struct {
	cfg   Config
	start time.Time
	due   time.Time // of a live source's next picture
}

// next returns when the picture is taken, if it is sent as number i, and reports whether
// it is wanted.
func (p *pacer) next(i int, picture video.Picture) (taken time.Time, wanted bool) {
	switch {
	case !picture.Taken.IsZero():
		return picture.Taken, p.thin(picture.Taken)
	case p.cfg.RealTime:
		return p.start.Add(picture.At), true
	case p.cfg.FPS > 0: // counted from the start, so that small delays do not add up
		return p.start.Add(time.Duration(float64(i) / p.cfg.FPS * float64(time.Second))), true
	}
	return time.Now(), true
}

// thin reports whether a live picture is wanted at FPS. It may come half an
// interval early, so that jitter loses none at the camera's own pace. After a pause
// the pace begins anew: missing pictures are not made up for.
func (p *pacer) thin(taken time.Time) bool {
	if p.cfg.FPS == 0 {
		return true
	}
	interval := time.Duration(float64(time.Second) / p.cfg.FPS)
	if taken.Before(p.due.Add(-interval / 2)) {
		return false
	}
	if p.due = p.due.Add(interval); p.due.Before(taken) {
		p.due = taken.Add(interval)
	}
	return true
}

// send hands one picture to the producer; it blocks while that holds as much
// as it may. It returns an error as soon as any record has failed.
func (s *sender) send(ctx, delivery context.Context, c *camera, i int, p video.Picture, taken time.Time) error {
	value, contentType, err := encode(s.cfg, p)
	if err != nil {
		return err
	}
	sent := Sent{Camera: c.Name, Frame: i, Faces: p.Faces, ID: record.In(s.cfg.Topic, 0).At(0), Format: s.cfg.Format, Bytes: len(value)}
	if c.places != nil { // so that the newest pictures wait in the source, which drops the oldest
		select {
		case c.places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	err = s.err
	if s.client == nil && err == nil {
		c.total.add(sent)
	}
	s.mu.Unlock()
	if s.client == nil || err != nil {
		return err
	}

	r := &kgo.Record{
		Topic: s.cfg.Topic,
		Key:   []byte(c.Name),
		Value: value,
		Headers: []kgo.RecordHeader{
			{Key: frame.ContentType, Value: []byte(contentType)},
			{Key: frame.Camera, Value: []byte(c.Name)},
		},
		Timestamp: taken,
	}
	r.Partition = int32(i % s.topic.partitions)
	if s.cfg.ByCamera { // what Kafka's own producers choose for the key
		r.Partition = int32(kgo.StickyKeyPartitioner(nil).ForTopic(r.Topic).Partition(r, s.topic.partitions))
	}
	s.mu.Lock()
	if s.pending++; s.pending == 1 {
		s.acked = time.Now()
	}
	s.mu.Unlock()
	s.client.Produce(delivery, r, func(r *kgo.Record, err error) {
		if c.places != nil {
			<-c.places
		}
		s.mu.Lock()
		s.pending--
		first := s.err == nil
		switch {
		case err == nil:
			s.acked = time.Now()
			s.trouble.over()
			sent.ID, sent.TimestampMillis = record.In(r.Topic, r.Partition).At(r.Offset), r.Timestamp.UnixMilli()
			c.total.add(sent)
			if s.each != nil {
				s.each(sent)
			}
			s.mu.Unlock()
			return
		case c.places != nil && first && (errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, context.Canceled)):
			// Of a camera that goes on, or is stopped: it is a picture less.
			c.total.Dropped++
			s.mu.Unlock()
			if errors.Is(err, kerr.MessageTooLarge) && c.total.Dropped == 1 {
				s.note("%s: dropped %s: %v", c.Name, p.Name, s.explain(err, len(value)))
			}
			return
		}
		s.mu.Unlock()
		s.fail(fmt.Errorf("sending %s to %s: %w", p.Name, record.In(r.Topic, r.Partition), s.explain(err, len(value))))
	})
	return nil
}

// fail ends every camera, for the first error that it gets.
func (s *sender) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.cancel()
	}
}

func (t *Total) add(s Sent) {
	if t.Frames == 0 || s.Bytes < t.Least {
		t.Least = s.Bytes
	}
	t.Most = max(t.Most, s.Bytes)
	t.Frames++
	t.Bytes += int64(s.Bytes)
	t.Faces += len(s.Faces)
	if len(s.Faces) > 0 {
		t.WithFaces++
	}
}

// explain says what to do about a record's error, where something can be done.
func (s *sender) explain(err error, size int) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge) && MaxBytesFor(size) > requestMaxBytes:
		return fmt.Errorf("the frame has %d bytes, and with no %s does a broker take more than %d, its socket.request.max.bytes: send smaller pictures: %w",
			size, maxMessageBytes, requestMaxBytes, err)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("the frame has %d bytes, and the topic's %s is %d: set that to %d (kafka-configs.sh --alter --topic %s --add-config %s=%[4]d), or use another topic: %[7]w",
			size, maxMessageBytes, s.topic.maxBytes, MaxBytesFor(size), s.cfg.Topic, maxMessageBytes, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped with no acknowledgement within %v%s: %w", stopTimeout, s.trouble, err)
	}
	return advised(err)
}

// flush waits for every record that the producer holds.
func (s *sender) flush(delivery context.Context) {
	if s.client == nil {
		return
	}
	if err := s.client.Flush(delivery); err != nil {
		// Delivery was ended: the producer now fails what it still holds, which
		// is quick, and every record's outcome is to be known before the count.
		_ = s.client.Flush(context.Background())
	}
}

// note prints a line for whoever watches.
func (s *sender) note(format string, args ...any) {
	if s.cfg.Progress != nil {
		s.cfg.Progress(format, args...)
	}
}

// report writes a line for each camera now and then until the end.
func (s *sender) report(done <-chan struct{}) {
	start := time.Now()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		silent := time.Duration(0)
		if s.pending > 0 {
			silent = time.Since(s.acked)
		}
		s.mu.Unlock()
		waiting := ""
		if silent >= patience {
			waiting = fmt.Sprintf(", waiting for Kafka for %v%s", silent.Round(time.Second), s.trouble)
		}
		var totals []Total
		for _, c := range s.cameras {
			total := s.totalOf(c)
			totals = append(totals, total)
			dropped := ""
			if total.Dropped > 0 {
				dropped = fmt.Sprintf(", %d lost since they were not sent in time", total.Dropped)
			}
			s.note("%s: %d frames, %.1f MB, %.0f frames/s%s%s", total.Camera, total.Frames, float64(total.Bytes)/1e6,
				float64(total.Frames)/time.Since(start).Seconds(), dropped, waiting)
		}
		if s.cfg.Watch != nil {
			s.cfg.Watch(totals, strings.TrimPrefix(waiting, ", "))
		}
		if s.cfg.GiveUp > 0 && silent >= s.cfg.GiveUp {
			s.fail(fmt.Errorf("no acknowledgement of Kafka for %v (--give_up)%s", silent.Round(time.Second), s.trouble))
		}
	}
}

// totalOf returns a camera's total with what its source has dropped.
func (s *sender) totalOf(c *camera) Total {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := c.total
	if live, ok := c.Source.(video.Live); ok {
		total.Dropped += live.Dropped()
	}
	return total
}

// encode returns a record's value and its content type.
func encode(cfg Config, p video.Picture) (value []byte, contentType string, err error) {
	switch cfg.Format {
	case JPEG:
		contentType = frame.JPEGContentType
		value, err = video.EncodeJPEG(p, cfg.Quality)
	case PNG:
		value, err = video.EncodePNG(p)
		contentType = frame.PNGContentType
	case Raw:
		p, err = p.Decoded()
		value, contentType = p.BGR, frame.RawContentType(p.Width, p.Height)
	default:
		err = fmt.Errorf("format %q is none of %s", cfg.Format, strings.Join(Formats, ", "))
	}
	if err == nil && len(value) < frame.MinBytes {
		err = video.Unusable{Err: fmt.Errorf("%s: %d bytes as %s: the job skips frames under %d bytes", p.Name, len(value), cfg.Format, frame.MinBytes)}
	}
	return value, contentType, err
}
