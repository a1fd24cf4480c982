// Package feed sends a video to a Kafka topic, one record a picture.
package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/scripts/camera/video"
	"facestream/transforms/frame"
)

// The formats of a record's value.
const (
	JPEG = "jpeg" // a JPEG file
	Raw  = "raw"  // width*height*3 bytes: blue, green, red
)

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
	Brokers    []string  // Required. HOST:PORT each.
	Topic      string    // Required. Made if it is missing.
	Partitions int32     // Required. Of a topic that is missing, 1 or more; a topic that is there keeps its own.
	Camera     string    // Required. Key and camera header of every record.
	Format     string    // Required. JPEG or Raw.
	Frames     int       // Optional. Send no more than so many; 0 stands for all.
	FPS        float64   // Optional. Pictures a second; 0 stands for as fast as possible.
	Progress   io.Writer // Optional. Gets one line a second, and notes on the topic.
}

// Sent is one picture that Kafka has acknowledged.
type Sent struct {
	Frame           int         `json:"frame"` // index in the video, from 0
	Faces           []video.Box `json:"faces"` // as the source gave them
	Topic           string      `json:"topic"`
	Partition       int32       `json:"partition"`
	Offset          int64       `json:"offset"`
	TimestampMillis int64       `json:"timestamp_millis"` // the record's, UTC, since 1970
	Format          string      `json:"format"`           // JPEG or Raw
	Bytes           int         `json:"bytes"`            // of the value
}

// Send sends the source's pictures. Picture i goes to partition i modulo the
// number of partitions, so that each partition is in the video's order. It
// returns what Kafka has acknowledged, in the order of the video, also
// together with an error. When ctx is cancelled, it waits for what is under
// way and returns ctx's error. It does not close the source.
func Send(ctx context.Context, cfg Config, source video.Source) ([]Sent, error) {
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	picture, err := source.Next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the source has no picture")
	}
	if err != nil {
		return nil, err
	}
	// Looked at before anything is made in Kafka.
	if _, _, err := encode(cfg.Format, picture); err != nil {
		return nil, err
	}
	topic, err := prepareTopic(ctx, cfg, picture)
	if err != nil {
		return nil, err
	}

	s := &sender{cfg: cfg, topic: topic}
	// What is under way outlives ctx for a while, to be counted rightly.
	delivery, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.cancel = cancel
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })
	defer stop()
	s.client, err = kgo.NewClient(
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// JPEGs do not get smaller, and raw frames are to arrive as large as they are.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(topic.maxBytes),
		kgo.MaxBufferedRecords(bufferedRecords),
		kgo.MaxBufferedBytes(max(bufferedBytes, int(topic.maxBytes))),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		// Nothing is sent after a failure, so that nothing can be doubled.
		kgo.AllowIdempotentProduceCancellation(),
	)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka producer: %w", err)
	}
	defer s.client.Close()

	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() { s.report(done) })
	err = s.run(ctx, delivery, source, picture)
	s.flush(delivery)
	close(done)
	reporter.Wait()

	if s.err != nil { // the cause of whatever came after it
		err = s.err
	}
	return slices.DeleteFunc(s.sent, func(r Sent) bool { return r.Offset < 0 }), err
}

// sender is one Send.
type sender struct {
	cfg    Config
	topic  topic
	client *kgo.Client
	cancel context.CancelFunc // ends every delivery

	mu    sync.Mutex
	sent  []Sent // Offset is -1 until the record is acknowledged
	acked int
	bytes int64
	err   error // of the first record that failed
}

// run sends the first picture and those after it.
func (s *sender) run(ctx, delivery context.Context, source video.Source, picture video.Picture) error {
	start := time.Now()
	for i := 0; ; i++ {
		if err := wait(ctx, due(start, i, s.cfg.FPS)); err != nil {
			return err
		}
		if err := s.send(delivery, i, picture); err != nil {
			return err
		}
		if s.cfg.Frames > 0 && i+1 == s.cfg.Frames {
			return nil
		}
		var err error
		picture, err = source.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// due is when picture i is to be sent. It is counted from the start, so that
// small delays do not add up.
func due(start time.Time, i int, fps float64) time.Time {
	if fps == 0 {
		return start
	}
	return start.Add(time.Duration(float64(i) / fps * float64(time.Second)))
}

// wait waits until then, or for the end of ctx.
func wait(ctx context.Context, then time.Time) error {
	timer := time.NewTimer(time.Until(then))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send hands one picture to the producer; it blocks while that holds as much
// as it may. It returns an error as soon as any record has failed.
func (s *sender) send(delivery context.Context, i int, p video.Picture) error {
	value, contentType, err := encode(s.cfg.Format, p)
	if err != nil {
		return err
	}
	record := &kgo.Record{
		Topic:     s.cfg.Topic,
		Partition: int32(i % s.topic.partitions),
		Key:       []byte(s.cfg.Camera),
		Value:     value,
		Headers: []kgo.RecordHeader{
			{Key: frame.ContentType, Value: []byte(contentType)},
			{Key: frame.Camera, Value: []byte(s.cfg.Camera)},
		},
		Timestamp: time.Now(),
	}
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	s.sent = append(s.sent, Sent{Frame: i, Faces: p.Faces, Topic: s.cfg.Topic, Partition: record.Partition, Offset: -1, Format: s.cfg.Format, Bytes: len(value)})
	s.mu.Unlock()

	s.client.Produce(delivery, record, func(r *kgo.Record, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			if s.err == nil {
				s.err = fmt.Errorf("sending %s to partition %d of topic %s: %w", p.Name, r.Partition, r.Topic, s.explain(err, len(value)))
				s.cancel()
			}
			return
		}
		s.sent[i].Offset = r.Offset
		s.sent[i].TimestampMillis = r.Timestamp.UnixMilli()
		s.acked++
		s.bytes += int64(len(value))
	})
	return nil
}

// explain says what to do about a record's error, where something can be done.
func (s *sender) explain(err error, size int) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("the frame has %d bytes, and the topic's max.message.bytes is %d: set that to %d, or use another topic: %w",
			size, s.topic.maxBytes, maxBytesFor(size), err)
	case errors.Is(err, kgo.ErrRecordTimeout):
		return fmt.Errorf("no acknowledgement within %v: %w", deliveryTimeout, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped with no acknowledgement within %v: %w", stopTimeout, err)
	}
	return err
}

// flush waits for every record that the producer holds.
func (s *sender) flush(delivery context.Context) {
	if err := s.client.Flush(delivery); err != nil {
		// Delivery was ended: the producer now fails what it still holds, which
		// is quick, and every record's outcome is to be known before the count.
		_ = s.client.Flush(context.Background())
	}
}

// report writes a line now and then until the end.
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
		acked, bytes := s.acked, s.bytes
		s.mu.Unlock()
		fmt.Fprintf(s.cfg.Progress, "%d frames, %.1f MB, %.0f frames/s\n", acked, float64(bytes)/1e6, float64(acked)/time.Since(start).Seconds())
	}
}

// encode returns a record's value and its content type.
func encode(format string, p video.Picture) (value []byte, contentType string, err error) {
	switch format {
	case JPEG:
		value, err = video.EncodeJPEG(p)
		contentType = frame.JPEGContentType
	case Raw:
		value, err = p.BGR, p.Check()
		contentType = frame.RawContentType(p.Width, p.Height)
	default:
		err = fmt.Errorf("format %q is neither %s nor %s", format, JPEG, Raw)
	}
	if err == nil && len(value) < frame.MinBytes {
		err = fmt.Errorf("%s: %d bytes as %s: the job skips frames under %d bytes", p.Name, len(value), format, frame.MinBytes)
	}
	return value, contentType, err
}
