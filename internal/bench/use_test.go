package bench

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"facestream/internal/lab"
	"facestream/internal/testkit"
)

// burnEnv makes the test program a process that uses some processor time and a known
// memory, prints that it has, and waits for the end of its input.
const burnEnv = "FACESTREAM_TEST_BURN"

const (
	burntSeconds = 0.2
	burntBytes   = 64 << 20
)

func burn() {
	for memory, used := make([]byte, burntBytes), 0.0; used < burntSeconds; {
		for i := range memory {
			memory[i]++
		}
		self, err := procfs.Self()
		if err != nil {
			panic(err)
		}
		stat, err := self.Stat()
		if err != nil {
			panic(err)
		}
		used = stat.CPUTime()
	}
	os.Stdout.WriteString("done\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// startBurning starts such a process, and returns when it has used what it uses.
func startBurning(t *testing.T, program string) (end func()) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), burnEnv+"=1")
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	testkit.Must(t, errors.Join(inErr, outErr, cmd.Start()))
	testkit.Value(bufio.NewReader(out).ReadString('\n'))(t)
	return func() {
		in.Close()
		testkit.Says(t, "the process", cmd.Wait(), "")
	}
}

func TestMeasureUse(t *testing.T) {
	self, l, ticks := testkit.Value(os.Executable())(t), &lab.Lab{Dir: t.TempDir()}, make(chan time.Time)
	ours := filepath.Join(l.Dir, "burner")
	testkit.Must(t, os.Symlink(self, ours))
	before := startBurning(t, ours)
	defer startBurning(t, self)() // which is another's
	got, err := measureUse(l, ticks, func() error { return nil })
	// The memory is still there, and what it did before does not count.
	if u := got["burner"]; err != nil || len(got) != 1 || u.cpu >= burntSeconds || u.peak < burntBytes/1e6 {
		t.Errorf("%+v (%v) of a process that does nothing", got, err)
	}
	before()
	failed := errors.New("failed")
	got, err = measureUse(l, ticks, func() error {
		end := startBurning(t, ours)
		for range 2 { // the second is taken when it was looked at
			ticks <- time.Now()
		}
		end()
		return failed
	})
	if u := got["burner"]; err != failed || u.peak < burntBytes/1e6 {
		t.Errorf("%+v (%v) of a process that has ended", u, err)
	}
	end := func() {}
	got, err = measureUse(l, ticks, func() error { end = startBurning(t, ours); return nil })
	if u := got["burner"]; err != nil || u.cpu < burntSeconds || u.peak < burntBytes/1e6 {
		t.Errorf("%+v (%v) of a process that runs", u, err)
	}
	end()
}
