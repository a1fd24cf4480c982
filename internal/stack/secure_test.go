package stack

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/cli"
	"facestream/internal/kafkaconf"
	"facestream/internal/proc"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

// A secured stack stays so, with its passwords, when what has died is started again, and
// listens on the loopback address only. One that is not secured does not become so.
func TestUpSecure(t *testing.T) {
	plain := t.TempDir()
	testkit.Must(t, state.Stack{state.Kafka: {}}.Save(state.Dir(plain)))
	if status, out := run(t.Context(), plain, "up", "--secure"); status != cli.ExitFailed || !strings.Contains(out, "end them with down first") {
		t.Errorf("up --secure beside plain services: status %d: %s", status, out)
	}

	s := newTestStack(t)
	s.do(t.Context(), "up", "--secure", "kafka")
	config := testkit.Value(kafkaconf.Read(state.Addrs{KDC: "x"}.Secret(s.dir, state.KafkaConfig)))(t)
	s.prints("env", "KDC=127.0.0.1:", "KAFKA_CONFIG="+config.String(), "KRB5_CONFIG="+state.Dir(s.dir)+"/kdc/krb5.conf")
	for again := range 2 {
		addrs, _ := state.Running(s.dir)
		_, procs := s.processes()
		testkit.MustListenOnLoopback(t, procs)
		for secured, opts := range map[bool][]kgo.Opt{true: config.Options(), false: nil} {
			client := testkit.Value(kgo.NewClient(append(opts, kgo.SeedBrokers(addrs.Kafka))...))(t)
			if err := client.Ping(t.Context()); (err == nil) != secured {
				t.Errorf("with the stack's password: %v: %v", secured, err)
			}
			client.Close()
		}
		if again == 0 {
			testkit.Must(t, proc.End(procs, 0))
			s.do(t.Context(), "up", "kafka")
		}
	}
}
