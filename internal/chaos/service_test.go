package chaos

import (
	"strings"
	"syscall"
	"testing"

	"facestream/internal/lab"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/store"
)

// engines are the parts of an engine without which its windows fail.
var engines = map[string]string{runners.Prism: "prism", runners.Flink: "jobmanager", runners.Spark: "spark job server"}

// withoutEnd runs without end, outlives every service, says each time once that it waits,
// and ends with SIGTERM behind the window under way, however long that was to take:
// everything is stored, gathered and committed. It leaves more in the topic than was there.
func (l *testLab) withoutEnd(t *testing.T, runner string) {
	const perStep = 6
	group := "without-end-" + runner
	p := l.newPipeline(group, runner, append(testkit.Quick, "--reader=native", "--duration=forever", "--window=10m")...)
	var run *lab.Run
	said := func(what string) int { return strings.Count(run.Stdout(), what) }
	const waits, goesOn = "waiting, and trying again", "going on after"
	stored := func() int { return len(l.seen(t, group, []store.Kind{store.KindPicture})) }
	t.Cleanup(func() {
		if t.Failed() && run != nil {
			t.Log(run.Output())
		}
	})
	waited := 0
	step := func(what string, befalls func()) {
		t.Helper()
		befalls()
		l.send(t, perStep)
		l.all += perStep * 2 / 3
		l.await(t, run, "the pictures after "+what, func() bool { return stored() == l.all })
		if n, m := said(waits), said(goesOn); n != waited || m > n {
			t.Errorf("%s: it says %d times that it waits, and %d times that it goes on; want %d", what, n, m, waited)
		}
	}
	kill := func(victim string, meanwhile func()) {
		t.Helper()
		l.strike(t, fault{victim: victim, signal: syscall.SIGKILL}, meanwhile)
	}
	awaitWaiting := func() {
		waited++
		testkit.Await(t, "that it says that it waits", func() bool { return said(waits) == waited || run.HasEnded() })
	}
	step("a start without a broker", func() {
		kill("kafka", func() { run = l.start(t, p); awaitWaiting() })
	})
	step("the end of the engine", func() { kill(engines[runner], awaitWaiting) })
	step("a restart of the broker", func() { kill("kafka", func() {}) })
	step("a restart of the NameNode", func() { kill("namenode", func() {}) })
	step("a restart of the DataNode", func() { kill("datanode", func() {}) })

	testkit.Must(t, run.Process.Signal(syscall.SIGTERM))
	l.wait(t, run, 0)
	testkit.Contains(t, "after SIGTERM", run.Output(), "asked to end")
	testkit.Value(verify(t.Context(), l.Lab, group, l.topic, 0))(t)
}
