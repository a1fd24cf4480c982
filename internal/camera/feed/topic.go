package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/kafkaconf"
	"facestream/internal/wait"
)

const (
	maxMessageBytes = "max.message.bytes"
	// brokerMaxBytes is that setting's default.
	brokerMaxBytes = 1<<20 + 12
	// recordOverhead is more than a key, headers and Kafka's own framing take.
	recordOverhead = 64 << 10
	// requestMaxBytes is what a broker takes in one request, by default.
	requestMaxBytes = 100 << 20

	brokerReplication = -1 // the broker's default

	pollEvery = 20 * time.Millisecond
)

// topic is what the sender must know of a topic.
type topic struct {
	partitions int
	maxBytes   int32 // of a batch of records
}

// MaxBytesFor returns a max.message.bytes that holds values of so many bytes.
func MaxBytesFor(size int) int {
	const step = 1 << 20
	if size += recordOverhead; size > brokerMaxBytes {
		return (size + step - 1) / step * step
	}
	return brokerMaxBytes
}

// prepareTopic makes the topic if it is missing, for values of so many bytes, and
// returns what it is like.
func prepareTopic(ctx context.Context, cfg Config, size int, note func(format string, args ...any)) (topic, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	// The first thing asked: it fails at once where nobody listens.
	client, err := kafkaconf.Ask(ctx, cfg.Brokers, func(ctx context.Context, broker string) (*kgo.Client, error) {
		client, err := kgo.NewClient(append(cfg.Security.Options(), kgo.SeedBrokers(broker))...)
		if err != nil {
			return nil, fmt.Errorf("making a Kafka client: %w", err)
		}
		if err = client.Ping(ctx); err != nil {
			client.Close()
		}
		return client, err
	})
	if err != nil {
		return topic{}, fmt.Errorf("reaching Kafka at %s: %w", strings.Join(cfg.Brokers, ","), kafkaconf.Unanswered(kafkaconf.Explain(err)))
	}
	defer client.Close()
	admin := kadm.NewClient(client)

	limit := strconv.Itoa(MaxBytesFor(size))
	_, err = admin.CreateTopic(ctx, cfg.Partitions, brokerReplication, map[string]*string{maxMessageBytes: &limit}, cfg.Topic)
	// Who may not make topics may still send to one that is there.
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) && !denied(err) {
		return topic{}, fmt.Errorf("making topic %s: %w", cfg.Topic, advised(err))
	}
	exists := err != nil

	t, unknown := describe(ctx, admin, cfg.Topic, exists && denied(err))
	if unknown != nil {
		if denied(err) {
			return topic{}, fmt.Errorf("making topic %s: %w", cfg.Topic, advised(err))
		}
		return topic{}, fmt.Errorf("describing topic %s: %w", cfg.Topic, advised(unknown))
	}
	if exists && t.partitions != int(cfg.Partitions) {
		note("topic %s is there already and keeps its %d partitions", cfg.Topic, t.partitions)
	}
	return t, nil
}

// denied reports whether a broker has refused something for want of rights.
func denied(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)
}

// describe waits until the broker asked knows the topic, unless that is there already or
// not at all, and returns what it is like.
func describe(ctx context.Context, admin *kadm.Client, name string, there bool) (topic, error) {
	var t topic
	for {
		topics, err := admin.ListTopics(ctx, name)
		if err != nil {
			return topic{}, err
		}
		// A new topic is unknown for a moment.
		if err := topics[name].Err; err != nil && (there || !kerr.IsRetriable(err)) {
			return topic{}, err
		}
		if t.partitions = len(topics[name].Partitions); t.partitions > 0 {
			break
		}
		if err := wait.Sleep(ctx, pollEvery); err != nil {
			return topic{}, err
		}
	}
	configs, err := admin.DescribeTopicConfigs(ctx, name)
	var config kadm.ResourceConfig
	if err == nil {
		config, err = configs.On(name, nil)
	}
	switch err = errors.Join(err, config.Err); {
	case denied(err): // whoever may write need not be allowed this
		t.maxBytes = brokerMaxBytes
		return t, nil
	case err != nil:
		return topic{}, err
	}
	for _, c := range config.Configs {
		if c.Key == maxMessageBytes {
			n, err := strconv.Atoi(c.MaybeValue())
			t.maxBytes = int32(min(n, requestMaxBytes))
			return t, err
		}
	}
	return topic{}, fmt.Errorf("the broker does not say its %s", maxMessageBytes)
}
