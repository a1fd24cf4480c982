// Package feed sends videos to a Kafka topic, one record a picture.
package feed

import (
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
	deliveryTimeout = 30 * time.Second // until a record is acknowledged
	stopTimeout     = 10 * time.Second // for what is under way when the caller cancels
	progressEvery   = time.Second
	bufferedRecords = 1000
	bufferedBytes   = 32 << 20
)

// Config says what is sent where.
type Config struct {
	Brokers    []string // Required, but for DryRun. HOST:PORT each.
	Topic      string   // Required. Made if it is missing.
	Partitions int32    // Required. Of a topic that is missing, 1 or more; a topic that is there keeps its own.
	Camera     string   // Required by Send. Key and camera header of every record.
	ByCamera   bool     // Optional. All of a camera's pictures go to the partition of its name. Without it, picture i goes to partition i modulo their number.
	Format     string   // Required. One of Formats.
	Quality    int      // Optional. Of JPEGs, 1 to 100; 0 stands for a source's own files, and video.JPEGQuality where it has none.
	Frames     int      // Optional. Send no more than so many of each camera; 0 stands for all.
	FPS        float64  // Optional. Pictures a second of each camera; 0 stands for as fast as possible. A live source loses those that are too many.
	RealTime   bool     // Optional. Send a video file at its own pace; not together with FPS.
	DryRun     bool     // Optional. Do everything but send: no broker is asked.
	// Optional. Prints one line a second and camera, and notes; several goroutines call it.
	Progress func(format string, args ...any)
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
// only, and one of Kafka all of them.
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
	s := &sender{cfg: cfg, each: each}
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
		if s.client, err = newProducer(cfg.Brokers, s.topic.maxBytes); err != nil {
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
func newProducer(brokers []string, maxBytes int32) (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// JPEGs do not get smaller, and raw frames are to arrive as large as they are.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxBytes),
		kgo.MaxBufferedRecords(bufferedRecords),
		kgo.MaxBufferedBytes(max(bufferedBytes, int(maxBytes))),
		// Nothing is sent after a failure, so that nothing can be doubled.
		kgo.AllowIdempotentProduceCancellation(),
	)
}

// sender is one SendAll.
type sender struct {
	cfg     Config
	each    func(Sent)
	topic   topic
	client  *kgo.Client // nil in a dry run
	cancel  func()      // ends every camera and every delivery
	cameras []*camera

	mu  sync.Mutex // of the totals and each
	err error      // of the first record that failed
}

// camera is one camera of a sender.
type camera struct {
	Camera
	first video.Picture
	total Total
	err   error // why it ended before its end
}

// add takes a camera, if its first picture can be sent, and returns the bytes
// that a picture of it may have.
func (s *sender) add(c Camera) (int, error) {
	picture, err := c.Source.Next()
	if errors.Is(err, io.EOF) {
		return 0, errors.New("the source has no picture")
	}
	if err != nil {
		return 0, err
	}
	value, _, err := encode(s.cfg, picture)
	if err != nil {
		return 0, err
	}
	total := Total{Camera: c.Name, Width: picture.Width, Height: picture.Height}
	s.cameras = append(s.cameras, &camera{Camera: c, first: picture, total: total})
	// Enough for any JPEG of the first picture's size, too.
	return max(len(picture.BGR), len(value)), nil
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
			if err := s.send(delivery, c, i, picture, taken); err != nil {
				return err
			}
			i++
		}
		if s.cfg.Frames > 0 && i == s.cfg.Frames {
			return nil
		}
		var err error
		picture, err = c.Source.Next()
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
		totals = append(totals, c.total)
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
func (s *sender) send(delivery context.Context, c *camera, i int, p video.Picture, taken time.Time) error {
	value, contentType, err := encode(s.cfg, p)
	if err != nil {
		return err
	}
	sent := Sent{Camera: c.Name, Frame: i, Faces: p.Faces, ID: record.In(s.cfg.Topic, 0).At(0), Format: s.cfg.Format, Bytes: len(value)}
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
	// Not kgo's own limit: that counts from the record's timestamp.
	delivery, cancel := context.WithTimeout(delivery, deliveryTimeout)
	s.client.Produce(delivery, r, func(r *kgo.Record, err error) {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			if s.err == nil {
				s.err = fmt.Errorf("sending %s to %s: %w", p.Name, record.In(r.Topic, r.Partition), s.explain(err, len(value)))
				s.cancel()
			}
			return
		}
		sent.ID, sent.TimestampMillis = record.In(r.Topic, r.Partition).At(r.Offset), r.Timestamp.UnixMilli()
		c.total.add(sent)
		if s.each != nil {
			s.each(sent)
		}
	})
	return nil
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
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no acknowledgement within %v: %w", deliveryTimeout, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped with no acknowledgement within %v: %w", stopTimeout, err)
	}
	return err
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
		for _, c := range s.cameras {
			s.mu.Lock()
			total := c.total
			s.mu.Unlock()
			dropped := ""
			if live, ok := c.Source.(video.Live); ok && live.Dropped() > 0 {
				dropped = fmt.Sprintf(", %d lost since they were not sent in time", live.Dropped())
			}
			s.note("%s: %d frames, %.1f MB, %.0f frames/s%s", total.Camera, total.Frames, float64(total.Bytes)/1e6,
				float64(total.Frames)/time.Since(start).Seconds(), dropped)
		}
	}
}

// encode returns a record's value and its content type.
func encode(cfg Config, p video.Picture) (value []byte, contentType string, err error) {
	switch cfg.Format {
	case JPEG:
		contentType = frame.JPEGContentType
		if cfg.Quality == 0 {
			value, err = video.EncodeJPEG(p)
		} else {
			value, err = video.EncodeJPEGAt(p, cfg.Quality)
		}
	case PNG:
		value, err = video.EncodePNG(p)
		contentType = frame.PNGContentType
	case Raw:
		value, err = p.BGR, p.Check()
		contentType = frame.RawContentType(p.Width, p.Height)
	default:
		err = fmt.Errorf("format %q is none of %s", cfg.Format, strings.Join(Formats, ", "))
	}
	if err == nil && len(value) < frame.MinBytes {
		err = fmt.Errorf("%s: %d bytes as %s: the job skips frames under %d bytes", p.Name, len(value), cfg.Format, frame.MinBytes)
	}
	return value, contentType, err
}
