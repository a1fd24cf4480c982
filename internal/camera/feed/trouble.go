package feed

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// trouble is a logger of Kafka's client that keeps why it tries a record again, which it
// tells nobody else.
type trouble struct {
	mu   sync.Mutex
	last string
}

// again is how the client writes what a broker answered of a batch.
var again = regexp.MustCompile(`retrying@[-0-9]+,[0-9]+\((.*?)\)\}`)

// Level is that of what brokers answer.
func (t *trouble) Level() kgo.LogLevel { return kgo.LogLevelDebug }

// Log keeps the errors of connections and of answers.
func (t *trouble) Log(_ kgo.LogLevel, _ string, keyvals ...any) {
	for i := 0; i+1 < len(keyvals); i += 2 {
		said := ""
		switch value := keyvals[i+1].(type) {
		case error:
			said = value.Error()
		case string:
			if m := again.FindStringSubmatch(value); m != nil {
				said = m[1]
			}
		}
		if said != "" {
			t.mu.Lock()
			t.last = said
			t.mu.Unlock()
		}
	}
}

// over forgets what is over.
func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = ""
}

// String returns what is wrong as the end of a sentence.
func (t *trouble) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == "" {
		return ""
	}
	return ": " + t.last + hint(t.last)
}

// hints say what to do about what a broker answers.
var hints = []struct{ answer, do string }{
	{"NOT_ENOUGH_REPLICAS", "start the brokers that are down, or lower the topic's min.insync.replicas"},
	{"TOPIC_AUTHORIZATION_FAILED", "an administrator can allow it with kafka-acls.sh --add --producer --topic TOPIC"},
	{"CLUSTER_AUTHORIZATION_FAILED", "an administrator can allow it with kafka-acls.sh --add --operation IdempotentWrite --operation Create --cluster"},
	{"UNKNOWN_TOPIC", "the topic was removed: start again, which makes it anew"},
	{"INVALID_REPLICATION_FACTOR", "fewer brokers are up than the broker's default.replication.factor: start them, or make the topic before"},
	{"POLICY_VIOLATION", "a policy of the brokers forbids it: have an administrator make the topic"},
	{"KAFKA_STORAGE_ERROR", "look at the broker's disk and log"},
	{"RECORD_LIST_TOO_LARGE", "send smaller pictures, by --quality"},
	{"connection refused", "is the broker up?"},
}

// hint returns what to do about an answer as the end of a sentence.
func hint(answer string) string {
	for _, h := range hints {
		if strings.Contains(answer, h.answer) {
			return ": " + h.do
		}
	}
	return ""
}

// advised returns an error with what to do about it.
func advised(err error) error { return fmt.Errorf("%w%s", err, hint(err.Error())) }
