package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/lab"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/store"
)

// liveRun is a run of the native reader that follows a topic while a worker is killed.
type liveRun struct {
	runner  string
	sampled bool
	way
}

// victim is what does the work. On Prism that is the program itself.
func (r liveRun) victim() string {
	if r.runner == runners.Prism {
		return "pipeline"
	}
	return "go worker"
}

// live kills what does the work in mid window. What waits, and what is sent after that, is stored
// by the same window, or by the next run where the program was killed, with the same left out by
// sampling as by runs that nothing happens to.
func (l *testLab) live(t *testing.T, every bool) {
	var all []liveRun
	for _, runner := range []string{runners.Flink, runners.Spark, runners.Prism} {
		for _, sampled := range []bool{true, false} {
			for _, w := range native {
				if r := (liveRun{runner, sampled, w}); len(r.kinds()) > 0 {
					all = append(all, r)
				}
			}
		}
	}
	if !every {
		all = all[:1]
	}
	for _, r := range all {
		name := r.runner + "-" + r.store
		if r.sampled {
			name += "-sampled"
		}
		t.Run(name, func(t *testing.T) { r.run(t, l, "live-"+name) })
	}
}

// kinds are those of the files about records that are there before the window ends: tables come
// at its end, and on Prism what is rejected, too.
func (r liveRun) kinds() (kinds []store.Kind) {
	if r.store == store.Files {
		kinds = append(kinds, store.KindPicture)
	}
	if r.runner != runners.Prism {
		kinds = append(kinds, store.KindReject)
	}
	return kinds
}

func (r liveRun) run(t *testing.T, l *testLab, group string) {
	l.topic = group
	defer func() { l.topic = topic }()
	flags := []string{"--min_face=100", "--scale_factor=1.3"}
	if r.sampled {
		flags = append(flags, "--max_fps=3", "--cooldown=12h")
	}
	undisturbed := l.newPipeline("undisturbed-"+group, runners.Direct, append(flags, "--drain")...)
	// send sends some seconds of a camera, and a bad record to each partition, and returns
	// what must be there then before the window ends.
	send := func() []string {
		t.Helper()
		l.send(t, 40, "--partitions=2", "--fps=10")
		for partition := range int32(2) {
			testkit.Must(t, l.Kafka.ProduceSync(t.Context(), &kgo.Record{Topic: group, Partition: partition, Key: []byte("bad"), Value: make([]byte, 5000)}).FirstErr())
		}
		l.complete(t, undisturbed)
		return l.seen(t, undisturbed.Name, r.kinds())
	}
	want := send()
	p := l.newPipeline(group, r.runner, slices.Concat(flags, r.flags(), []string{"--duration=1h"})...)
	run := l.start(t, p)
	stored := func(what string) {
		t.Helper()
		l.await(t, run, what, func() bool { return slices.Equal(l.seen(t, group, r.kinds()), want) })
	}
	stored("what was sent before")
	l.strike(t, fault{runner: r.runner, victim: r.victim(), signal: syscall.SIGKILL}, func() {})
	killedAt := time.Now()
	if r.runner == runners.Prism {
		l.wait(t, run, killed)
		run = l.start(t, p)
	}
	want = send()
	stored("what was sent after it was killed")
	t.Logf("all was stored %s after the kill", time.Since(killedAt).Round(time.Second))
	testkit.Must(t, run.Process.Signal(syscall.SIGTERM))
	l.wait(t, run, 0)
	l.checkWhole(t, group, l.pictures(t, undisturbed.Name), lab.Slots*writers)
	counted := func(group string) string {
		sum, _ := l.sum(t, group)
		if left := sum.Sampled > 0 && sum.Cooled > 0; left != r.sampled || sum.Files == 0 {
			t.Errorf("group %s: %d sampled, %d cooled, %d files", group, sum.Sampled, sum.Cooled, sum.Files)
		}
		return fmt.Sprintf("%d read, %d sampled, %v rejected, %d decoded, %d cooled, %d faces, %d files, %d events",
			sum.Read, sum.Sampled, sum.Rejected, sum.Decoded, sum.Cooled, sum.Faces, sum.Files, sum.Events)
	}
	testkit.Equal(t, "what is counted", counted(group), counted(undisturbed.Name))
}

// seen returns the names of a group's files of some kinds.
func (l *testLab) seen(t *testing.T, group string, kinds []store.Kind) (names []string) {
	t.Helper()
	err := store.List(t.Context(), l.config(group), func(name string, _ int64, _ time.Time) error {
		if kind, _ := store.KindOf(name); slices.Contains(kinds, kind) {
			names = append(names, name)
		}
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) {
		testkit.Must(t, err)
	}
	slices.Sort(names)
	return names
}
