//go:build !race

package kafka_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"facestream/internal/kafkaconf"
	"facestream/internal/paths"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/kafka"
)

// One file lets the client in Go and KafkaIO in, by every mechanism; of a wrong password
// the client in Go says so.
func TestSecuredBroker(t *testing.T) {
	stack := testservices.Own(t, services.Options{KDC: true, Kafka: true})
	t.Setenv("KRB5_CONFIG", stack.Secret(services.Krb5Config))
	ctx := t.Context()
	const topic, records = "frames", 3
	options := func(file string) []kgo.Opt {
		c := testkit.Value(kafkaconf.Read(file))(t)
		return c.Options()
	}
	client := testkit.Value(kgo.NewClient(append(options(stack.Secret(services.KafkaConfig)), kgo.SeedBrokers(stack.Kafka))...))(t)
	defer client.Close()
	testkit.Value(kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic))(t)
	for range records {
		testkit.Must(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr())
	}
	_, password, _ := strings.Cut(string(testkit.ReadFile(t, stack.Secret(services.KafkaConfig))), `password="`)
	password, _, _ = strings.Cut(password, `"`)
	ticket := filepath.Join(t.TempDir(), "ticket.properties")
	jaas := regexp.MustCompile(`useKeyTab=.*;`)
	testkit.WriteFile(t, ticket, jaas.ReplaceAll(testkit.ReadFile(t, stack.Secret(services.KafkaKerberos)), []byte("useTicketCache=true;")))
	t.Setenv("KRB5CCNAME", filepath.Join(t.TempDir(), "cache"))
	testkit.Output(t, exec.Command("kinit", "-k", "-t", stack.Secret(services.UserKeytab), services.User))
	run := testkit.Value(paths.NewRun(t.TempDir()))(t)
	expansion := runners.NewExpansion(run)
	defer expansion.Close()
	for _, name := range []string{runners.Prism, runners.Direct} {
		runner := testkit.Value(runners.Open(ctx, runners.Config{Name: name, Dir: run}))(t)
		defer runner.Close()
		for _, path := range []string{stack.Secret(services.KafkaConfig), stack.Secret(services.KafkaPlain), stack.Secret(services.KafkaKerberos), ticket, stack.Secret(services.KafkaMutual)} {
			file := filepath.Base(path)
			t.Run(name+"/"+file, func(t *testing.T) {
				w := kafka.Window{Brokers: stack.Kafka, Topics: []string{topic}, Group: file + name, MaxRecords: records, MaxSeconds: 20, Security: path}
				switch file {
				case services.KafkaMutual:
					w.Brokers = stack.Mutual
				case services.KafkaKerberos, filepath.Base(ticket): // Java makes a name of an address, the client in Go does not
					w.Brokers = strings.Replace(stack.Kafka, "127.0.0.1", "localhost", 1)
				}
				offsets := testkit.Value(kafka.Open(ctx, w.Brokers, w.Group, w.Topics, options(w.Security)...))(t)
				defer offsets.Close()
				p, dir := dump(t, name, w, offsets, expansion)
				known(t, p, "${file:", name == runners.Prism)
				known(t, p, password, false)
				testkit.Must(t, runner.Run(ctx, "read", p))
				testkit.Equal(t, "the records that were read", len(testkit.Value(os.ReadDir(dir))(t)), records)
			})
		}
	}
	for file, want := range map[string]string{
		services.KafkaConfig:   "the user and the password in sasl.jaas.config",
		services.KafkaPlain:    "the user and the password in sasl.jaas.config",
		services.KafkaKerberos: "does not know this principal",
		services.KafkaMutual:   "another security.protocol",
	} {
		text := string(testkit.ReadFile(t, stack.Secret(file)))
		text = strings.Replace(strings.Replace(text, `password="`, `password="x`, 1), `principal="`, `principal="x`, 1)
		wrong := filepath.Join(t.TempDir(), file)
		testkit.WriteFile(t, wrong, []byte(text))
		_, err := kafka.Open(ctx, stack.Kafka, "g", []string{topic}, options(wrong)...)
		testkit.Says(t, file, err, want)
	}
}

// known fails unless a text is in what is submitted of a pipeline, or is not.
func known(t *testing.T, p *beam.Pipeline, text string, want bool) {
	t.Helper()
	edges, _, err := p.Build()
	testkit.Must(t, err)
	environment := testkit.Value(graphx.CreateEnvironment(t.Context(), graphx.URNEnvExternal, func(context.Context) string { return "localhost:1" }))(t)
	submitted := testkit.Value(proto.Marshal(testkit.Value(graphx.Marshal(edges, &graphx.Options{Environment: environment}))(t)))(t)
	if text == "" || strings.Contains(string(submitted), text) != want {
		t.Errorf("%q is in the pipeline: %v, want %v", text, !want, want)
	}
}
