package chaos

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"facestream/internal/lab"
	"facestream/internal/stack/services/proxy"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/internal/wait"
	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// outage is how long a part that hangs does so.
	outage  = 20 * time.Second
	liveFor = "30s" // how long a run follows the topic
	// maxLines is how long an error may be: it is for a person.
	maxLines    = 12
	interrupted = 130
	killed      = -1
)

// moment is when a fault happens.
type moment int

const (
	// writing is when some pictures of a window are stored, or a table of them is whole. No
	// further call reaches the NameNode.
	writing moment = iota
	// reading is when KafkaIO asks the broker for the first time. That does not reach it.
	reading
)

// way is how a run reads and stores.
type way struct{ reader, store string }

func (w way) String() string  { return w.reader + "-" + w.store }
func (w way) flags() []string { return []string{"--reader=" + w.reader, "--store=" + w.store} }

var (
	kafkaIOFiles, kafkaIOParquet = way{kafka.KafkaIO, store.Files}, way{kafka.KafkaIO, store.Parquet}
	nativeFiles, nativeParquet   = way{kafka.Native, store.Files}, way{kafka.Native, store.Parquet}

	both    = []way{kafkaIOFiles, nativeParquet} // each reader and each store
	kafkaIO = []way{kafkaIOFiles, kafkaIOParquet}
	native  = []way{nativeFiles, nativeParquet}
	all     = []way{nativeParquet, kafkaIOFiles, nativeFiles, kafkaIOParquet}
)

// scenario is a run that a fault befalls in mid window. If its exit status is not 0, a
// next run of the group must complete the window.
type scenario struct {
	name   string
	ways   []way  // both unless it is set; the first one in make test
	fault  string // what it is called in faults
	at     moment
	status int
	flags  []string
	// stays has the process away until the run has ended, else it is started again or
	// continued after away.
	stays bool
	away  time.Duration
	// ownJobServer has the run start a job server instead of using the cluster's.
	ownJobServer bool
	// live has the native reader follow the topic, instead of reading what is there.
	live        bool
	namesBroker bool // the error does
}

// scenarios are one kill for each engine, one interrupt, and one outage; or every one.
func scenarios(every bool) []scenario {
	few := []scenario{
		{name: "prism/harness-reading", ways: kafkaIO, fault: "a Java harness of the Prism pipeline is killed", at: reading, status: 1},
		{name: "prism/namenode", ways: all, fault: "the NameNode is killed"},
		{name: "flink/interrupt", fault: "the Flink pipeline's driver is interrupted", status: interrupted},
		{name: "spark/executor", fault: "an executor is killed"},
	}
	if !every {
		return few
	}
	return append(few, []scenario{
		{name: "flink/worker", fault: "a Go worker of the Flink cluster is killed"},
		{name: "prism/driver", fault: "the Prism pipeline is killed", status: killed},
		{name: "prism/interrupt", fault: "the Prism pipeline is interrupted", status: interrupted},
		{name: "prism/prism-reading", ways: kafkaIO[:1], fault: "the Prism of a pipeline is killed", at: reading, status: 1},
		{name: "prism/prism-writing", fault: "the Prism of a pipeline is killed", status: 1},
		// The harness is wanted until it has read the window, and then for the next one.
		{name: "prism/harness-idle", ways: kafkaIO, fault: "a Java harness of the Prism pipeline is killed"},
		{name: "prism/harness-before-the-next-window", ways: kafkaIO, fault: "a Java harness of the Prism pipeline is killed", flags: []string{windowBytes}},
		{name: "prism/broker-hangs", ways: kafkaIO[:1], fault: "the Kafka broker hangs", at: reading, away: outage},
		{name: "prism/broker-hangs-live", ways: native, fault: "the Kafka broker hangs", live: true, away: outage},
		{name: "prism/broker", fault: "the Kafka broker is killed"},
		{name: "prism/broker-gone", fault: "the Kafka broker is killed", stays: true, status: 1, namesBroker: true},
		{name: "prism/datanode", fault: "a DataNode is killed"}, // the only one
		{name: "flink/taskmanager", fault: "a TaskManager is killed", stays: true},
		{name: "flink/driver", fault: "the Flink pipeline's driver is killed", status: killed},
		{name: "flink/driver-and-job-server", fault: "the Flink pipeline's driver is killed", status: killed, ownJobServer: true},
		{name: "flink/job-server", fault: "Flink's job server is killed", status: 1, stays: true},
		{name: "spark/worker", fault: "a Go worker of the Spark cluster is killed"},
		{name: "spark/interrupt", fault: "the Spark pipeline's driver is interrupted", status: interrupted},
		{name: "spark/driver", fault: "the Spark pipeline's driver is killed", status: killed},
		{name: "spark/driver-and-job-server", fault: "the Spark pipeline's driver is killed", status: killed, ownJobServer: true},
		{name: "spark/job-server", fault: "Spark's job server is killed", status: 1, stays: true},
	}...)
}

// Case 13 to 16 of what must hold when things go wrong: where the engine can make the
// fault good, the same run completes the window; else it fails, nothing is committed,
// and the next one does.
func TestFaults(t *testing.T) {
	l := openTestLab(t)
	t.Run("undisturbed", l.undisturbed)
	if l.want == nil {
		t.Fatal("there is nothing to compare with")
	}
	every := testkit.All()
	for _, s := range scenarios(every) {
		t.Run(s.name, func(t *testing.T) {
			ways := s.ways
			if ways == nil {
				ways = both
			}
			if !every {
				ways = ways[:1]
			}
			for _, w := range ways {
				t.Run(w.String(), func(t *testing.T) { s.run(t, l, w) })
			}
		})
	}
	t.Run("live", func(t *testing.T) { l.live(t, every) })
	without := []string{runners.Prism}
	if every {
		t.Run("slow-hdfs", l.slow)
		without = append(without, runners.Flink, runners.Spark)
	}
	l.all = len(l.want)
	for _, runner := range without {
		t.Run("without-end", func(t *testing.T) { l.withoutEnd(t, runner) })
	}
}

func (s scenario) run(t *testing.T, l *testLab, w way) {
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	f, group := faultOf(t, s.fault), strings.ReplaceAll(s.name, "/", "-")+"-"+w.String()
	runner, _, _ := strings.Cut(s.name, "/")
	held, holds := l.holdAt(s.at, w)
	release := func() { held.Hold(proxy.ToTarget, false) }
	defer release()
	if s.at == reading {
		l.Broker = held.Addr()
		defer func() { l.Broker = l.Stack.Kafka }()
	}
	p := l.pipelineOf(group, runner, append(s.flags, w.flags()...)...)
	if s.ownJobServer {
		p.Flags = append(p.Flags, "--endpoint=", "--master="+l.master(runner))
	}
	if s.live {
		p.Flags = append(p.Flags, "--drain=false", "--duration="+liveFor)
	}
	run := l.start(t, p)
	select {
	case <-holds:
	case <-run.Ended:
		t.Fatalf("before it was held: %s\n%s", run, run.Output())
	}
	if s.at == writing {
		// Tables are published when the window is over.
		if there := len(l.pictures(t, group)); there == len(l.want) || (there == 0) != (w.store == store.Parquet) {
			t.Fatalf("it is held when %d of %d pictures are there", there, len(l.want))
		}
	}
	l.strike(t, f, func() {
		release()
		_ = wait.Sleep(ctx, s.away)
		if s.stays {
			_ = run.Wait(ctx)
		}
	})
	l.wait(t, run, s.status)
	t.Logf("%s: %s", f.what, run)
	if s.status != 0 {
		s.checkFailed(t, l, run, group)
		l.complete(t, p)
	}
	l.check(t, group, lab.Slots*writers+1) // and a ledger
}

// checkFailed looks at what a run has left that has not completed its window.
func (s scenario) checkFailed(t *testing.T, l *testLab, run *lab.Run, group string) {
	t.Helper()
	said := run.Stderr()
	if lines := strings.Count(said, "\n"); lines > maxLines || s.namesBroker && !strings.Contains(said, l.Stack.Kafka) {
		t.Errorf("its error has %d lines, at most %d are wanted, or does not name what it must:\n%s", lines, maxLines, said)
	}
	if s.status == interrupted {
		testkit.Equal(t, "jobs after its end", testservices.Jobs(t, l.Stack.Addrs), nil)
	}
	testkit.Equal(t, "what it has committed", l.committed(t, group), nil)
}

// holdAt has a proxy hold what passes from a moment on, and closes holds then.
func (l *testLab) holdAt(m moment, w way) (held *proxy.Proxy, holds <-chan struct{}) {
	if m == reading {
		return l.bootstrap, l.bootstrap.HoldAt(proxy.ToTarget, func(piece []byte) bool {
			return bytes.Contains(piece, []byte("consumer-")) // the client's id, of a Java consumer
		})
	}
	what, last := ".jpg", midWindow
	if w.store == store.Parquet {
		what, last = ".parquet", 1
	}
	renames := 0
	return l.nameNode, l.nameNode.HoldAt(proxy.ToTarget, func(piece []byte) bool {
		if bytes.Contains(piece, []byte("rename")) && bytes.Contains(piece, []byte(what)) {
			renames++
		}
		return renames == last
	})
}
