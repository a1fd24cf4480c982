package cli

import (
	"context"
	"errors"
	"facestream/internal/testkit"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// program is a command with two subcommands. What runs prints its name, its flag and
// its arguments, and returns err.
func program(err error) Command {
	setup := func(name string) func(*flag.FlagSet) Run {
		return func(f *flag.FlagSet) Run {
			n := f.Int("n", 7, "A `NUMBER`.")
			return func(_ context.Context, args []string, stdout, _ io.Writer) error {
				fmt.Fprintln(stdout, name, *n, args)
				return err
			}
		}
	}
	return Command{
		Name: "prog", Usage: "prog does something.\n", Examples: "An example.\n", Setup: setup("prog"), Libraries: []string{"OpenCV 4.5.6"},
		Subcommands: []Command{
			{Name: "prog look", Usage: "prog look looks.\n", Setup: setup("look"), Interrupted: "stopped looking"},
			{Name: "prog take", Usage: "prog take takes.\n", Setup: setup("take"), TakesArgs: true},
		},
	}
}

func TestCommand(t *testing.T) {
	version := VersionLine("OpenCV 4.5.6") + "\n"
	if !strings.HasPrefix(version, "facestream "+Version+", commit ") || !strings.HasSuffix(version, ", OpenCV 4.5.6\n") {
		t.Errorf("version %q", version)
	}
	const help = "prog does something.\n  -n NUMBER\n    \tA NUMBER. (default 7)\n  -version\n    \tPrint the version and exit.\nAn example.\n"
	failed := errors.New("no such thing")
	said := fmt.Errorf("%w: something", ErrSaid)
	for _, tc := range []struct {
		args           string
		err            error
		status         int
		stdout, stderr string
	}{
		{args: "", stdout: "prog 7 []\n"},
		{args: "-n 8", stdout: "prog 8 []\n"},
		{args: "look --n=9", stdout: "look 9 []\n"},
		{args: "take", stdout: "take 7 []\n"},
		{args: "take a -n 1 b --n=2 c", stdout: "take 2 [a b c]\n"},
		{args: "take look", stdout: "take 7 [look]\n"},

		{args: "--version", stdout: version},
		{args: "look --version", stdout: version},
		{args: "--help", stdout: help},
		{args: "-h --nonsense", stdout: help},
		{args: "help", stdout: help},
		{args: "look --help", stdout: "prog look looks.\n  -n NUMBER\n    \tA NUMBER. (default 7)\n  -version\n    \tPrint the version and exit.\n"},

		{args: "--nonsense", status: 2, stderr: "prog: flag provided but not defined: -nonsense (see prog --help)\n"},
		{args: "--ver-sion", status: 2, stderr: "prog: flag provided but not defined: -ver-sion; is it --version? (see prog --help)\n"},
		{args: "--vresion=x", status: 2, stderr: "prog: flag provided but not defined: -vresion; is it --version? (see prog --help)\n"},
		{args: "--version=x", status: 2, stderr: "prog: invalid boolean value \"x\" for -version: parse error; it must be true or false (see prog --help)\n"},
		{args: "look --n=99999999999999999999", status: 2, stderr: "prog look: invalid value \"99999999999999999999\" for flag -n: value out of range; it must be a whole number (see prog look --help)\n"},
		{args: "look --n=x", status: 2, stderr: "prog look: invalid value \"x\" for flag -n: parse error; it must be a whole number (see prog look --help)\n"},
		{args: "nonsense", status: 2, stderr: "prog: \"nonsense\": only flags are expected, or one of look, take before them (see prog --help)\n"},
		{args: "--n=1 look", status: 2, stderr: "prog: \"look\": only flags are expected, or one of look, take before them (see prog --help)\n"},
		{args: "look a", status: 2, stderr: "prog look: \"a\": only flags are expected (see prog look --help)\n"},

		{args: "", err: Usagef("--n: %w", failed), status: 2, stdout: "prog 7 []\n", stderr: "prog: --n: no such thing (see prog --help)\n"},
		{args: "", err: fmt.Errorf("checking: %w", Usagef("bad")), status: 2, stdout: "prog 7 []\n", stderr: "prog: checking: bad (see prog --help)\n"},
		{args: "look", err: failed, status: 1, stdout: "look 7 []\n", stderr: "prog look: no such thing\n"},
		{args: "look", err: said, status: 1, stdout: "look 7 []\n"},
		{args: "look", err: fmt.Errorf("%w: %w", said, Usagef("bad")), status: 2, stdout: "look 7 []\n"},
	} {
		var stdout, stderr strings.Builder
		status := program(tc.err).Main(t.Context(), strings.Fields(tc.args), &stdout, &stderr)
		if status != tc.status || stdout.String() != tc.stdout || stderr.String() != tc.stderr {
			t.Errorf("prog %s: exit status %d, stdout %q, stderr %q, want %d, %q, %q", tc.args, status, &stdout, &stderr, tc.status, tc.stdout, tc.stderr)
		}
	}
	if !errors.Is(Usagef("--n: %w", failed), failed) {
		t.Error("the cause of a usage error is lost")
	}
}

// A crash ends by a signal, and not as a wrong setting does. It leaves no core.
func TestCrash(t *testing.T) {
	const here = "FACESTREAM_TEST_CRASH"
	if os.Getenv(here) != "" {
		os.Args = os.Args[:1]
		var most syscall.Rlimit
		testkit.Must(t, syscall.Getrlimit(syscall.RLIMIT_CORE, &most))
		testkit.Must(t, syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: most.Max, Max: most.Max}))
		Main(Command{Setup: func(*flag.FlagSet) Run {
			return func(context.Context, []string, io.Writer, io.Writer) error { panic("a crash") }
		}})
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), here+"=1")
	out, err := cmd.CombinedOutput()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !strings.Contains(string(out), "panic: a crash") || status.Signal() != syscall.SIGABRT || status.CoreDump() {
		t.Errorf("%v, a core: %v, %s", err, status.CoreDump(), out)
	}
}

// Of two lists one would be lost, so they are refused. Of other flags the last one counts.
func TestListsGivenTwice(t *testing.T) {
	c := Command{Name: "prog", Setup: func(f *flag.FlagSet) Run {
		names := List("x")
		f.Var(&names, "names", "`NAMES`, comma-separated.")
		n, more := f.Int("n", 7, ""), KeyValues{}
		f.Var(more, "more", "May be given several times.")
		return func(_ context.Context, _ []string, stdout, _ io.Writer) error {
			fmt.Fprintf(stdout, "%s %d %d", names, *n, len(more))
			return nil
		}
	}}
	for args, want := range map[string]string{
		"":                                 "x 7 0",
		"--names=a,b":                      "a,b 7 0",
		"--names=a -names a":               "a 7 0",
		"--n=1 --n=2 --more=a=1 --more=b=": "x 2 2",
		"--names=a --names=b":              "prog: invalid value \"b\" for flag -names: it is there twice, and not the same: give all values in one, with commas between them (see prog --help)\n",
		"--names=x --names=":               "prog: invalid value \"\" for flag -names: it is there twice, and not the same: give all values in one, with commas between them (see prog --help)\n",
	} {
		var out strings.Builder
		status := c.Main(t.Context(), strings.Fields(args), &out, &out)
		if refused := strings.HasPrefix(want, "prog:"); out.String() != want || (status == ExitUsage) != refused {
			t.Errorf("%s: exit status %d, %s; want %s", args, status, &out, want)
		}
	}
}

// A command that fails since it was interrupted ends with 130. One that was done all
// the same has succeeded.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		args   string
		err    error
		status int
		stderr string
	}{
		{"", context.Canceled, 130, "prog: interrupted\n"},
		{"look", Usagef("bad"), 130, "prog look: stopped looking\n"},
		{"look", nil, 0, ""},
	} {
		var stderr strings.Builder
		if status := program(tc.err).Main(ctx, strings.Fields(tc.args), io.Discard, &stderr); status != tc.status || stderr.String() != tc.stderr {
			t.Errorf("prog %s that returns %v: exit status %d and %q, want %d and %q", tc.args, tc.err, status, &stderr, tc.status, tc.stderr)
		}
	}
}

// What the linker sets goes before what Go stamps. A program with neither, as "go run"
// and this test make one, names the commit of its source.
func TestCommit(t *testing.T) {
	t.Cleanup(func() { commit = "" })
	head, err := exec.Command("git", "-c", "safe.directory=*", "rev-parse", "HEAD").Output()
	if err == nil && !strings.Contains(VersionLine(), ", commit "+string(head[:12])) {
		t.Errorf("version %q, want commit %s", VersionLine(), head)
	}
	commit = "0123456789ab-dirty"
	if line := VersionLine(); !strings.Contains(line, ", commit 0123456789ab-dirty, Go 1.") {
		t.Errorf("version %q, want the linker's commit", line)
	}
}

func TestBrokers(t *testing.T) {
	for _, tc := range []struct{ list, want, err string }{
		{list: "a:1", want: "a:1"},
		{list: " 127.0.0.1:1 ,\tbroker-2.example:65535\n,[::1]:3", want: "127.0.0.1:1|broker-2.example:65535|[::1]:3"},
		{list: "", err: `--kafka="": broker 1 is empty: write HOST:PORT`},
		{list: "127.0.0.1:1, ", err: `--kafka="127.0.0.1:1, ": broker 2 is empty: write HOST:PORT`},
		{list: "a:1,b", err: `--kafka: "b" must be HOST:PORT, such as localhost:9092`},
		{list: "a:1 b:2", err: `"a:1 b:2" must be HOST:PORT`},
		{list: "a b:1", err: `"a b:1" must be HOST:PORT`},
		{list: "me@a:1", err: `"me@a:1" must be HOST:PORT`},
		{list: "PLAINTEXT://a:1", err: `"PLAINTEXT://a:1" must be HOST:PORT`},
		{list: ":1", err: `":1" must be HOST:PORT`},
		{list: "a:65536", err: `"a:65536" must be HOST:PORT`},
		{list: "::1:1", err: `"::1:1" must be HOST:PORT`},
	} {
		got, err := Brokers("--kafka", tc.list)
		if strings.Join(got, "|") != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: %q and error %v, want %q and %q", tc.list, got, err, tc.want, tc.err)
		}
	}
}

// A reader that ends, as head does, interrupts the command.
func TestOutputWithoutReader(t *testing.T) {
	r, w, err := os.Pipe()
	testkit.Must(t, err)
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := output{w, cancel}
	if _, err := out.Write([]byte("a line\n")); err != nil || ctx.Err() != nil {
		t.Fatalf("with a reader: %v, %v", err, ctx.Err())
	}
	testkit.Must(t, r.Close())
	if _, err := out.Write([]byte("a line\n")); err == nil || ctx.Err() == nil {
		t.Errorf("without a reader: %v, %v", err, ctx.Err())
	}
}

// The first SIGTERM lets a command end by itself that has asked for it, and so does the
// same signal to its group. A later one ends it.
func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDraining()
		ctx := context.WithValue(t.Context(), drainingKey{}, d)
		if d.begin() {
			t.Error("a command that has not asked for it goes on")
		}
		said := 0
		asked := Draining(ctx, func() { said++ })
		for range 2 {
			if !d.begin() {
				t.Error("a command that has asked for it is ended")
			}
		}
		<-asked.Done()
		time.Sleep(sameSignal)
		if d.begin() || said != 1 {
			t.Errorf("a later signal does not end it, or it is told %d times", said)
		}
		if Draining(t.Context(), func() {}).Done() != nil {
			t.Error("outside of Main there are no signals")
		}
	})
}
