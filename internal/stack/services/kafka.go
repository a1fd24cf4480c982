package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/kafkaconf"
	"facestream/internal/ports"
)

const (
	kafkaHeap        = "512m"
	serverProperties = "server.properties"

	checkTopic = "stack-check" // exists for a moment during the start

	// clusterID is any UUID in base64.
	clusterID = "ZmFjZXN0cmVhbS1zdGFjaw"
)

// kafkaSettings are server.properties for one process that is broker and controller: with the
// address of each, and the folder. Topics are made by those who need them, never by a misspelt
// name, and a new consumer group need not wait for further members.
const kafkaSettings = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.coordinator.rebalance.protocols=classic,consumer
# By default the controller writes to its own log twice a second, also when nothing happens.
metadata.max.idle.interval.ms=0
# The default of 128 MB would be a quarter of the heap.
log.cleaner.dedupe.buffer.size=4194304
`

// secureKafkaSettings come after these: with the addresses of the broker, of the controller
// and of a listener that takes clients by their certificates, the folder of the secrets, and the
// port.
const secureKafkaSettings = `listeners=CLIENT://%[1]s,MUTUAL://%[3]s,CONTROLLER://%[2]s
advertised.listeners=CLIENT://` + hostname + `:%[5]s,MUTUAL://%[3]s
listener.security.protocol.map=CLIENT:SASL_SSL,MUTUAL:SSL,CONTROLLER:SSL
inter.broker.listener.name=CLIENT
ssl.keystore.type=PEM
ssl.keystore.location=%[4]s/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=%[4]s/ca.pem
ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN,GSSAPI
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.kerberos.service.name=kafka
config.providers=file
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
listener.name.client.plain.sasl.jaas.config=` + kafkaLogins + `plain.PlainLoginModule required username="admin" password="${file:%[4]s/passwords:admin}" user_admin="${file:%[4]s/passwords:admin}" user_` + User + `="${file:%[4]s/passwords:user}";
listener.name.client.scram-sha-512.sasl.jaas.config=` + kafkaLogins + `scram.ScramLoginModule required;
listener.name.client.gssapi.sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab="%[4]s/kafka.keytab" principal="` + kafkaPrincipal + `";
`

// kafkaPrograms are a broker that keeps its data in dir.
func kafkaPrograms(s *Stack, dir string, o Options) ([]javaProgram, error) {
	conf := filepath.Join(dir, "conf")
	settings := fmt.Sprintf(kafkaSettings, o.Addrs.Kafka, o.controller, dir)
	if s.secrets != "" {
		settings += fmt.Sprintf(secureKafkaSettings, o.Addrs.Kafka, o.controller, o.mutual, s.secrets, portOf(o.Addrs.Kafka))
	}
	return []javaProgram{{
		name: "kafka", classes: "kafka", conf: conf, heap: kafkaHeap, class: "kafka.Kafka",
		settings: map[string]string{serverProperties: settings}, jvm: s.secrets.jvm(),
		args: []string{filepath.Join(conf, serverProperties)},
	}}, nil
}

// formatKafka prepares the folder of the broker's data.
func formatKafka(ctx context.Context, s *Stack, broker javaProgram) error {
	broker.class = "kafka.tools.StorageTool"
	broker.args = append([]string{"format", "--ignore-formatted", "-t", clusterID, "-c"}, broker.args...)
	return s.run(ctx, broker)
}

// tryKafka creates a topic, passes a record through it and deletes it.
func tryKafka(ctx context.Context, s *Stack) error {
	// While the port is closed, the client would wait longer and longer between attempts.
	if err := ports.Reach(ctx, s.Kafka); err != nil {
		return err
	}
	security, err := kafkaconf.Read(s.Secret(kafkaAdmin))
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(security.Options(), kgo.SeedBrokers(s.Kafka))...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if err := s.secrets.makeKafkaUser(ctx, admin); err != nil {
		return err
	}
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
