package chaos

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/store"
)

// engines are the parts of an engine without which its windows fail.
var engines = map[string]matcher{runners.Prism: prismServer, runners.Flink: service("jobmanager"), runners.Spark: service("spark-jobserver")}

// withoutEnd runs without end, outlives every service, says each time once that it waits,
// and ends with SIGTERM behind the window under way, however long that was to take:
// everything is stored, gathered and committed. It leaves more in the topic than was there.
func (l *testLab) withoutEnd(t *testing.T, runner string) {
	const perStep = 6
	group := "without-end-" + runner
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()

	p := l.newPipeline(group, runner, append(testkit.Quick, "--reader=native", "--duration=forever", "--window=10m")...)
	var ended chan outcome
	said := func(what string) int { return strings.Count(readLog(p.logs+"/"+group+"-1.out"), what) }
	const waits, goesOn = "waiting, and trying again", "going on after"
	stored := func() (n int) {
		_ = store.List(ctx, l.config(group), func(name string, _ int64, _ time.Time) error {
			if kind, _ := store.KindOf(name); kind == store.KindPicture {
				n++
			}
			return nil
		})
		return n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(readLog(p.logs+"/"+group+"-1.out"), readLog(p.logs+"/"+group+"-1.err"))
		}
	})
	waited := 0
	step := func(what string, befalls func()) {
		t.Helper()
		befalls()
		l.complete(t, l.newCamera(fmt.Sprintf("--frames=%d", perStep), quality))
		l.all += perStep * 2 / 3
		testkit.Await(t, "the pictures after "+what, func() bool {
			select {
			case o := <-ended:
				t.Fatalf("%s: it has ended: %v, %s\n%s", what, o.err, o.end, o.output())
			default:
			}
			return stored() == l.all
		})
		if n, m := said(waits), said(goesOn); n != waited || m > n {
			t.Errorf("%s: it says %d times that it waits, and %d times that it goes on; want %d", what, n, m, waited)
		}
	}
	kill := func(victims fault, meanwhile func()) {
		t.Helper()
		found, err := victims.victims(l.lab)
		if err != nil || len(found) == 0 {
			t.Fatalf("there is no such process: %v", err)
		}
		victims.signal = syscall.SIGKILL
		if happened, err := victims.strike(ctx, l.lab, found[0], meanwhile); err != nil || !happened {
			t.Fatalf("happened=%t, %v", happened, err)
		}
	}
	awaitWaiting := func() {
		waited++
		testkit.Await(t, "that it says that it waits", func() bool { return said(waits) == waited || len(ended) > 0 })
	}
	step("a start without a broker", func() {
		kill(fault{victim: service("kafka")}, func() { ended = l.start(ctx, p); awaitWaiting() })
	})
	step("the end of the engine", func() { kill(fault{victim: engines[runner]}, awaitWaiting) })
	step("a restart of the broker", func() { kill(fault{victim: service("kafka")}, func() {}) })
	step("a restart of the NameNode", func() { kill(fault{victim: service("namenode")}, func() {}) })
	step("a restart of the DataNode", func() { kill(fault{victim: service("datanode")}, func() {}) })

	l.terminate(t, runner)
	if o := <-ended; o.err != nil || !o.end.Success() || !strings.Contains(o.output(), "asked to end") {
		t.Fatalf("after SIGTERM: %v, %s\n%s", o.err, o.end, o.output())
	}
	if _, err := l.verify(ctx, group, 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.summary); err != nil {
		t.Error(err)
	}
}
