package chaos_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"facestream/internal/stack/services/proxy"
	"facestream/runners"
)

// outage is how long Kafka is away, at the least, before it comes back.
const outage = 20 * time.Second

// end kills a process of the stack that a run uses.
func (r *run) end(t *testing.T, name string) {
	t.Helper()
	p, ok := shared.stack.Process(name)
	if !ok {
		t.Fatalf("the stack has no process %s", name)
	}
	r.kill(t, p.PID)
}

func restart(t *testing.T, name string) {
	t.Helper()
	if err := shared.stack.Restart(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// Case 14: while KafkaIO reads, the broker hangs; and it dies when the window is
// read and comes back before the run gives up. The run goes on.
func TestBrokerIsAwayForAWhile(t *testing.T) {
	prepare(t)
	r := newRun("broker-away", "--runner="+runners.Prism)
	r.start(t)
	r.awaitReading(t)
	broker, _ := shared.stack.Process("kafka")
	if err := syscall.Kill(broker.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(outage)
	if err := syscall.Kill(broker.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.awaitFirstPicture(t)
	r.end(t, "kafka")
	restart(t, "kafka")
	r.finish(t, 0)
	r.check(t)
}

// Case 14: the broker dies for good. The run fails and says why, nothing is
// committed, and when there is a broker again the next run completes the window.
func TestBrokerIsGone(t *testing.T) {
	prepare(t)
	r := newRun("broker-gone", "--runner="+runners.Prism)
	r.start(t)
	r.awaitFirstPicture(t)
	r.end(t, "kafka")
	r.finish(t, 1)
	restart(t, "kafka")
	if !strings.Contains(r.stderr.String(), shared.stack.Kafka) {
		t.Errorf("the error does not name the broker:\n%s", r.stderr)
	}
	r.next(t, "--runner="+runners.Prism)
	r.check(t)
}

// Cases 15 and 16: the NameNode, and the only DataNode, die in mid window and
// come back. The run goes on.
func TestHDFSDies(t *testing.T) {
	for _, victim := range []string{"namenode", "datanode"} {
		t.Run(victim, func(t *testing.T) {
			prepare(t)
			r := newRun(victim, "--runner="+runners.Prism)
			r.start(t)
			r.awaitFirstPicture(t)
			r.end(t, victim)
			restart(t, victim)
			r.finish(t, 0)
			r.check(t)
		})
	}
}

// Case 21: with a slow HDFS the run takes longer, and no more memory.
func TestSlowHDFS(t *testing.T) {
	prepare(t)
	p, err := proxy.Start(strings.TrimPrefix(shared.stack.HDFS, "hdfs://"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.SetLatency(40 * time.Millisecond) // of which a file takes five at least
	r := newRun("slow-hdfs")
	r.hdfs = "hdfs://" + p.Addr()
	r.flags = r.with([]string{"--runner=" + runners.Prism})
	r.start(t)
	r.finish(t, 0)
	r.check(t)
	const tolerance = 1.3
	if peak := r.peak(); float64(peak) > tolerance*float64(shared.peak) {
		t.Errorf("the run had %d KB at its peak, and one with a fast HDFS %d", peak, shared.peak)
	}
}
