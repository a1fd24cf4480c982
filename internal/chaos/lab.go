package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/audit"
	"facestream/internal/lab"
	"facestream/internal/stack/services"
)

const (
	topic      = "soak"
	partitions = 4

	keepRejects = "--keep_rejects"

	maxProblems = 10 // that a person is shown of each pipeline
)

// bad are records without a picture: the first two are skipped, the others are rejected.
var bad = [][]byte{nil, make([]byte, 999), make([]byte, 5000), bytes.Repeat([]byte("no picture "), 1000), append([]byte("\xff\xd8\xff\xe0"), make([]byte, 5000)...)}

// openLab opens a lab whose Kafka has the topic.
func openLab(ctx context.Context, dir string, o services.Options) (*lab.Lab, error) {
	l, err := lab.Open(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	if _, err := kadm.NewClient(l.Kafka).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return nil, errors.Join(fmt.Errorf("making topic %s: %w", topic, err), l.Close())
	}
	return l, nil
}

// sendBad sends the next bad record. It waits for a broker that is away.
func sendBad(ctx context.Context, l *lab.Lab, i int) error {
	return l.Kafka.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: bad[i%len(bad)]}).FirstErr()
}

// verify looks at what a group stores of a topic. The error says what does not agree, or is
// not committed; the report is kept among the logs.
func verify(ctx context.Context, l *lab.Lab, group, topic string, recheck int) (r audit.Report, err error) {
	run, err := l.NewVerify(group, topic, "--json", fmt.Sprint("--recheck=", recheck)).Run(ctx)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(run.Stdout()), &r); err != nil || run.Success() != r.Agrees {
		return r, fmt.Errorf("verify of %s prints agrees=%t (%v): %s", group, r.Agrees, err, run)
	}
	return r, checkReport(group, r)
}

func checkReport(group string, r audit.Report) (err error) {
	for _, p := range r.Problems[:min(len(r.Problems), maxProblems)] {
		err = errors.Join(err, fmt.Errorf("%s: %s", group, p.Text))
	}
	if more := len(r.Problems) - maxProblems; more > 0 {
		err = errors.Join(err, fmt.Errorf("%s: and %d more", group, more))
	}
	for _, p := range r.Partitions {
		if p.LogEnd > 0 && (p.Committed == nil || *p.Committed != p.LogEnd || p.Waiting > 0) {
			err = errors.Join(err, fmt.Errorf("%s: %s ends at %d, and that is not committed, or %d records still wait", group, p.TopicPartition, p.LogEnd, p.Waiting))
		}
	}
	return err
}
