package procs

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// burnEnv makes the test program a process that uses a known processor time and
// memory, says so, and waits for the end of its input.
const burnEnv = "FACESTREAM_TEST_BURN"

const (
	burnt     = 400 * time.Millisecond
	burntSize = 64 << 20
)

func TestMain(m *testing.M) {
	if os.Getenv(burnEnv) != "" {
		burn()
		return
	}
	os.Exit(m.Run())
}

func burn() {
	memory := make([]byte, burntSize)
	for {
		for i := range memory {
			memory[i]++
		}
		data, err := os.ReadFile("/proc/self/stat")
		if err != nil {
			panic(err)
		}
		s, err := parseStat(string(data))
		if err != nil {
			panic(err)
		}
		if s.ticks*int64(time.Second)/ticksPerSecond >= int64(burnt) {
			break
		}
	}
	os.Stdout.WriteString("done\n")
	if line, _ := bufio.NewReader(os.Stdin).ReadString('\n'); line != "" {
		panic(syscall.Exec("/bin/cat", []string{"cat"}, nil))
	}
}

// startBurning starts such a process below a shell, and returns when it has used
// what it uses. A line that it reads makes it another program, and the end of its
// input ends it.
func startBurning(t *testing.T) (become, end func()) {
	t.Helper()
	cmd := exec.Command("sh", "-c", os.Args[0]+"; exit 0")
	cmd.Env = append(os.Environ(), burnEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	become = func() {
		if _, err := in.Write([]byte("cat\n")); err != nil {
			t.Fatal(err)
		}
	}
	return become, func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func classOf(args []string) string {
	if args[0] == os.Args[0] {
		return "burner"
	}
	return "other"
}

func used(t *testing.T, w *Watcher) Use {
	t.Helper()
	all, err := w.Used()
	if err != nil {
		t.Fatal(err)
	}
	return all["burner"]
}

func TestUsed(t *testing.T) {
	w := Watch(os.Getpid(), classOf)
	defer w.Stop()
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	_, end := startBurning(t)
	got := used(t, w)
	// It stops at the first look after it has used so much.
	if got.CPU < burnt || got.CPU > 10*burnt {
		t.Errorf("%s of processor time, want %s and a little more", got.CPU, burnt)
	}
	if got.Peak < burntSize || got.Peak > 4*burntSize {
		t.Errorf("a peak of %d bytes, want %d and a little more", got.Peak, burntSize)
	}
	if n := len(w.Running()); n != 2 {
		t.Errorf("%d processes run, want the shell and its child", n)
	}
	end()
	if after := used(t, w); after.CPU < got.CPU || after.Peak < got.Peak {
		t.Errorf("after its end %+v, before %+v", after, got)
	}
	if left := w.Running(); len(left) > 0 {
		t.Errorf("%v run after their end", left)
	}
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	if again := used(t, w); again != (Use{}) {
		t.Errorf("a new measurement begins with %+v", again)
	}
}

// What was used before a measurement is no part of it.
func TestBegin(t *testing.T) {
	w := Watch(os.Getpid(), classOf)
	defer w.Stop()
	_, end := startBurning(t)
	defer end()
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	if got := used(t, w); got.CPU >= burnt || got.Peak < burntSize {
		t.Errorf("%+v, want almost no processor time, and the %d bytes that are still there", got, burntSize)
	}
}

// A process that becomes another program leaves its memory behind.
func TestBecomes(t *testing.T) {
	become := func(args []string) string {
		if args[0] == "cat" {
			return "cat"
		}
		return classOf(args)
	}
	w := Watch(os.Getpid(), become)
	defer w.Stop()
	toCat, end := startBurning(t)
	defer end()
	if got := used(t, w); got.Peak < burntSize {
		t.Fatalf("%+v before", got)
	}
	toCat()
	for {
		all, err := w.Used()
		if err != nil {
			t.Fatal(err)
		}
		if cat := all["cat"]; cat.CPU > 0 {
			if cat.Peak >= burntSize {
				t.Errorf("%+v, want the memory of cat", cat)
			}
			return
		}
	}
}

// Processes of others are not looked at, whatever they are called.
func TestForeign(t *testing.T) {
	_, end := startBurning(t)
	defer end()
	w := Watch(1<<30, classOf)
	defer w.Stop()
	if got := w.Running(); len(got) > 0 {
		t.Errorf("%v are said to descend from a process that there is not", got)
	}
}

func TestParse(t *testing.T) {
	got, err := parseStat("7 (a ) b) S 3 7 7 0 -1 4 1 2 3 4 500 25 8 9 20 0 6 0 12345 1 2")
	if want := (stat{parent: 3, ticks: 525, born: "12345"}); err != nil || got != want {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	if got, err := parseStat("7 (a) Z 3 7 7 0 -1 4 1 2 3 4 5 2 8 9 20 0 6 0 1 1"); err != nil || !got.zombie {
		t.Errorf("%+v (%v), want a zombie", got, err)
	}
	for _, text := range []string{"", "7 (a) S 3", "7 (a) S x 7 7 0 -1 4 1 2 3 4 5 2 8 9 20 0 6 0 1 1"} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
	if kb, err := parsePeakKB("Name:\tx\nVmHWM:\t   1234 kB\nVmRSS:\t 9 kB\n"); kb != 1234 || err != nil {
		t.Errorf("%d kB (%v), want 1234", kb, err)
	}
	if kb, err := parsePeakKB("Name:\tx\nState:\tZ\n"); kb != 0 || err != nil {
		t.Errorf("%d kB (%v) of a process without memory", kb, err)
	}
	if _, err := parsePeakKB("Name:\tx\nVmHWM:\tmuch\n"); err == nil {
		t.Error("much is taken for a number")
	}
}
