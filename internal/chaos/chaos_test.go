package chaos

import (
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"
	"time"
)

const (
	minPause = 20 * time.Second
	maxPause = 40 * time.Second
)

// draws is enough for every fault to be drawn many times.
const draws = 10_000

func draw(seed uint64, n int) []lot {
	c := newChance(seed)
	lots := make([]lot, n)
	for i := range lots {
		lots[i] = c.draw(minPause, maxPause)
	}
	return lots
}

func TestTheSameSeedGivesTheSameFaults(t *testing.T) {
	if one, two := draw(1, draws), draw(1, draws); !reflect.DeepEqual(one, two) {
		t.Error("one seed has given two different series")
	}
	if one, two := draw(1, draws), draw(2, draws); reflect.DeepEqual(one, two) {
		t.Error("two seeds have given the same series")
	}
}

func TestFaultsAreDrawnEvenly(t *testing.T) {
	first := make([]int, len(faults))
	for _, l := range draw(1, draws) {
		if l.pause < minPause || l.pause > maxPause {
			t.Fatalf("pause %s, want %s to %s", l.pause, minPause, maxPause)
		}
		if len(l.order) != len(faults) {
			t.Fatalf("an order of %d faults, want all %d", len(l.order), len(faults))
		}
		first[l.order[0]]++
	}
	const tolerance = 0.2
	for i, n := range first {
		if even := float64(draws) / float64(len(faults)); float64(n) < (1-tolerance)*even || float64(n) > (1+tolerance)*even {
			t.Errorf("%s: drawn %d times of %d", faults[i].what, n, draws)
		}
	}
}

func TestWhatHappenedLeastComesFirst(t *testing.T) {
	got := leastFirst([]int{4, 2, 0, 1, 3}, []int{1, 0, 1, 0, 2})
	if want := []int{1, 3, 2, 0, 4}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// A harness or worker is found by who has started it and by its command line.
func TestChildrenOf(t *testing.T) {
	const mark = "600.25"
	cmd := exec.Command("sleep", mark)
	ended, err := startBound(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	child, me, other := victim{pid: cmd.Process.Pid}, victim{pid: os.Getpid()}, victim{pid: os.Getppid()}
	for _, c := range []struct {
		parent victim
		text   string
		want   []victim
	}{
		{me, mark, []victim{child}},
		{me, "no such text", nil},
		{other, mark, nil},
	} {
		got, err := childrenOf([]victim{c.parent}, c.text)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("children of %d with %q: %v, want %v (%v)", c.parent.pid, c.text, got, c.want, err)
		}
	}
}

func TestWhoseProcess(t *testing.T) {
	const dir = "/work/build/soak"
	for _, c := range []struct {
		args []string
		want bool
	}{
		{[]string{dir + "/bin/pipeline", "--runner=prism"}, true},
		{[]string{"/usr/bin/java", "-Dlog4j.configuration=file:" + dir + "/stack/hdfs/conf/log4j.properties"}, true},
		{[]string{"/usr/bin/java", "-cp", "/work/build/java/beam/*"}, false},
		{[]string{"tail", "-f", dir + "/log/prism.log"}, false}, // somebody looks on
		{[]string{dir + "-2/bin/pipeline"}, false},
	} {
		if got := (process{args: c.args}).of(dir); got != c.want {
			t.Errorf("%q: %v, want %v", c.args, got, c.want)
		}
	}
}
