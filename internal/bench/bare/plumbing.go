package bare

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
)

// fetchBytes is what one fetch of one partition may bring, as in the pipeline.
const fetchBytes = 2 << 20

// measurePlumbing has each worker take records from Kafka, look for faces, and
// write what has any to HDFS.
func measurePlumbing(ctx context.Context, c Config) (Result, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers), kgo.ConsumeTopics(c.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(fetchBytes))
	if err != nil {
		return Result{}, err
	}
	defer client.Close()
	fsys := hdfs.New(ctx)
	folder := fsys.(interface {
		MkdirAll(ctx context.Context, dir string) error
	})
	if err := folder.MkdirAll(ctx, c.Output); err != nil {
		return Result{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	records := make(chan *kgo.Record)
	failed := make(chan error, 1)
	go func() { failed <- read(ctx, client, records) }()
	return work(ctx, c, func(d *face.Detector) (worker, error) {
		p := &plumber{ctx: ctx, config: c, fsys: fsys, detector: d, records: records, failed: failed}
		p.writes.SetLimit(max(1, c.Writers))
		return worker{step: p.step, finish: p.finish, stages: &p.stages}, nil
	})
}

// read hands on what the client fetches, until ctx ends.
func read(ctx context.Context, client *kgo.Client, records chan<- *kgo.Record) error {
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading from Kafka: %w", err)
		}
		for _, r := range fetches.Records() {
			select {
			case records <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// plumber is a worker of the plumbing.
type plumber struct {
	ctx      context.Context
	config   Config
	fsys     filesystem.Interface
	detector *face.Detector
	records  <-chan *kgo.Record
	failed   <-chan error

	writes errgroup.Group
	stages Stages
}

// step does one frame.
func (p *plumber) step() error {
	watch := time.Now()
	lap := func(to *float64) {
		now := time.Now()
		*to += now.Sub(watch).Seconds() * 1000
		watch = now
	}
	var record *kgo.Record
	select {
	case record = <-p.records:
	case err := <-p.failed:
		return err
	}
	lap(&p.stages.Read)
	f, reject := frame.Parse(config, recordOf(record))
	if reject != nil {
		return fmt.Errorf("record %d of partition %d is no frame: %s", record.Offset, record.Partition, reject.Detail)
	}
	lap(&p.stages.Decode)
	found, err := p.detector.Detect(f)
	if err != nil {
		return err
	}
	lap(&p.stages.Detect)
	entry, err := face.Files(face.Output{Frame: true}, found)
	if err != nil {
		return err
	}
	lap(&p.stages.Encode)
	for _, file := range entry.Files {
		name := fmt.Sprintf("%s/%d-%d", p.config.Output, f.Partition, f.Offset)
		if p.config.Writers == 0 {
			err = p.write(name, file.Data)
		} else {
			p.writes.Go(func() error { return p.write(name, file.Data) })
		}
	}
	lap(&p.stages.Write)
	return err
}

// write writes a file as package store does: under another name first.
func (p *plumber) write(name string, data []byte) error {
	if err := filesystem.Write(p.ctx, p.fsys, name+".tmp", data); err != nil {
		return err
	}
	return filesystem.Rename(p.ctx, p.fsys, name+".tmp", name+".jpg")
}

func (p *plumber) finish() error { return p.writes.Wait() }

// recordOf returns the parts of a record that a frame is made of.
func recordOf(r *kgo.Record) *kafka.Record {
	headers := make([]kafka.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = kafka.Header{Key: h.Key, Value: &h.Value}
	}
	return &kafka.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(),
		Key: &r.Key, Value: &r.Value, Headers: &headers,
	}
}
