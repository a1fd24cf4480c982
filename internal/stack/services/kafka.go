package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

const (
	kafkaHeap  = "512m"
	checkTopic = "stack-check" // exists for a moment during the start

	// clusterID is a UUID in base64, as Kafka wants it. One on this machine is
	// as good as another.
	clusterID = "ZmFjZXN0cmVhbS1zdGFjaw"
)

// kafkaSettings are server.properties for one process that is broker and
// controller. Topics are made by those who need them, never by a misspelt
// name. Kafka's own topics have one partition and one replica, and a new
// consumer group need not wait for further members.
func kafkaSettings(dir, addr, controller string) string {
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + addr + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + addr,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=1",
		"group.initial.rebalance.delay.ms=0",
		// The default of 128 MB would be a quarter of the heap.
		"log.cleaner.dedupe.buffer.size=4194304",
	}, "\n") + "\n"
}

// kafkaPrograms are a broker that keeps its data in dir.
func kafkaPrograms(ctx context.Context, c *children, dir string, o Options) ([]javaProgram, error) {
	classPath, err := paths.ClassPath("kafka")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, dirMode); err != nil {
		return nil, err
	}
	settings := filepath.Join(conf, "server.properties")
	if err := os.WriteFile(settings, []byte(kafkaSettings(dir, o.Addrs.Kafka, o.controller)), fileMode); err != nil {
		return nil, err
	}
	broker := javaProgram{
		name: "kafka", conf: conf, classPath: classPath, heap: kafkaHeap, class: "kafka.Kafka", args: []string{settings},
	}
	err = prepareOnce(dir, func() error {
		format := broker
		format.class = "kafka.tools.StorageTool"
		format.args = []string{"format", "--ignore-formatted", "-t", clusterID, "-c", settings}
		return c.run(ctx, format)
	})
	if err != nil {
		return nil, fmt.Errorf("formatting Kafka's storage: %w", err)
	}
	return []javaProgram{broker}, nil
}

// tryKafka creates a topic, passes a record through it and deletes it.
func tryKafka(ctx context.Context, a state.Addrs) error {
	// While the port is closed the client would wait longer and longer between
	// its own attempts.
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.Kafka)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	// An earlier round may have left the topic.
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, checkTopic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating a topic: %w", err)
	}
	sent := &kgo.Record{Topic: checkTopic, Value: []byte("a record")}
	if err := client.ProduceSync(ctx, sent).FirstErr(); err != nil {
		return fmt.Errorf("producing a record: %w", err)
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{
		checkTopic: {sent.Partition: kgo.NewOffset().At(sent.Offset)},
	})
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return fmt.Errorf("fetching a record: %w", err)
	}
	if got := fetches.Records()[0].Value; !bytes.Equal(got, sent.Value) {
		return fmt.Errorf("fetched %q instead of %q", got, sent.Value)
	}
	if _, err := admin.DeleteTopic(ctx, checkTopic); err != nil {
		return fmt.Errorf("deleting a topic: %w", err)
	}
	return nil
}
