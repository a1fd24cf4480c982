// Package cli has what all programs of facestream share: subcommands, flags, --help,
// --version, signals, and exit statuses.
package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The exit statuses.
const (
	ExitFailed      = 1   // also of what may pass: a service manager tries again
	ExitUsage       = 2   // and not after this
	ExitInterrupted = 130 // as a shell has it for SIGINT
)

var (
	// ErrUsage is wrapped by errors about what the user asked for: exit status 2.
	ErrUsage = errors.New("wrong usage")
	// ErrSaid is wrapped by errors that the command has printed itself.
	ErrSaid = errors.New("said already")
)

// Command is a program, or a subcommand of one.
type Command struct {
	Name     string // Required. As in errors and on the command line, such as "facestream check".
	Usage    string // Required. What --help shows above the flags.
	Examples string // Optional. What it shows below them.
	// Setup adds the flags and returns what runs the command once they are parsed.
	Setup func(*flag.FlagSet) Run
	// TakesArgs allows arguments before, between and behind the flags.
	TakesArgs bool
	// Interrupted is what the user is told after Ctrl-C; "interrupted" if empty.
	Interrupted string
	// Libraries are the versions that --version shows after those of Go and Beam.
	Libraries []string
	// Subcommands are chosen by the first argument. Without one, Setup's command runs.
	Subcommands []Command
}

// Run runs a command whose flags are parsed. The error decides on the exit status;
// after the end of ctx it is that of an interruption.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// noCores has a crash leave no file of the memory, in which passwords are. One byte is the limit
// that also holds where another program takes cores.
// https://github.com/torvalds/linux/blob/v6.1/fs/coredump.c
func noCores() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		limit.Cur = min(1, limit.Max)
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &limit) // less than before is always allowed
	}
}

// Main runs a command with this process's arguments and ends the process. The first
// Ctrl-C or SIGTERM ends the command's context, the second one the process; see Draining.
func Main(c Command) {
	debug.SetTraceback("crash") // SIGABRT: Go itself ends a crash with ExitUsage, as if another try were in vain
	noCores()
	d := newDraining()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), drainingKey{}, d))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if s != syscall.SIGTERM || !d.begin() {
				signal.Stop(signals)
				cancel()
			}
		}
	}()
	// Without a handler, "facestream-bench all | head" would end the process at once and
	// leave its services behind. The signal itself means nothing: a connection that its
	// peer has broken raises it, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(c.Main(ctx, os.Args[1:], output{os.Stdout, cancel}, output{os.Stderr, cancel}))
}

// draining is what a SIGTERM means to a command that has called Draining.
type draining struct {
	mu    sync.Mutex
	say   func()
	asked context.Context
	ask   func()    // ends asked
	at    time.Time // when it did
}

func newDraining() *draining {
	d := &draining{}
	d.asked, d.ask = context.WithCancel(context.Background())
	return d
}

// sameSignal is how long after a SIGTERM another one means the same: timeout(1) sends one
// to the process and one to its group.
const sameSignal = time.Second

type drainingKey struct{}

// Draining returns a context that ends, once say was called, when SIGTERM asks the
// command to end by itself, having done what it is about. From this call on, the first
// SIGTERM does not end ctx; Ctrl-C and another SIGTERM do.
func Draining(ctx context.Context, say func()) (asked context.Context) {
	d, ok := ctx.Value(drainingKey{}).(*draining)
	if !ok { // the command is not Main's
		return context.Background()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.say = say
	return d.asked
}

// begin asks the command to end, and reports whether a SIGTERM means no more than that.
func (d *draining) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.say == nil {
		return time.Since(d.at) < sameSignal
	}
	d.say()
	d.say, d.at = nil, time.Now()
	d.ask()
	return true
}

// output calls broken when nobody reads what is written to a file.
type output struct {
	*os.File
	broken func()
}

func (o output) Write(p []byte) (int, error) {
	n, err := o.File.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		o.broken()
	}
	return n, err
}

// Main runs the command and returns the exit status.
func (c Command) Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		for _, sub := range c.Subcommands {
			if sub.Name[strings.LastIndexByte(sub.Name, ' ')+1:] == args[0] {
				sub.Libraries = c.Libraries
				return sub.Main(ctx, args[1:], stdout, stderr)
			}
		}
	}
	stderr = redact(stderr, args)
	flags, run, version := c.flags()
	rest, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp), len(rest) > 0 && rest[0] == "help":
		c.Help(stdout)
		return 0
	case err == nil && *version:
		fmt.Fprintln(stdout, VersionLine(c.Libraries...))
		return 0
	case err != nil:
		err = usageError{err}
	case len(rest) > 0 && !c.TakesArgs:
		err = Usagef("%q: only flags are expected%s", rest[0], c.subcommandNames())
	default:
		err = run(ctx, rest, stdout, stderr)
	}
	return c.status(ctx, err, stderr)
}

// Help writes what --help shows.
func (c Command) Help(out io.Writer) {
	fmt.Fprint(out, c.Usage)
	flags, _, _ := c.flags()
	flags.SetOutput(out)
	flags.PrintDefaults()
	fmt.Fprint(out, c.Examples)
}

// VisitFlags calls visit with each flag in lexicographical order.
func (c Command) VisitFlags(visit func(*flag.Flag)) {
	flags, _, _ := c.flags()
	flags.VisitAll(visit)
}

func (c Command) flags() (f *flag.FlagSet, run Run, version *bool) {
	f = flag.NewFlagSet(c.Name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // Main prints the error
	version = f.Bool("version", false, "Print the version and exit.")
	return f, c.Setup(f), version
}

func (c Command) subcommandNames() string {
	if len(c.Subcommands) == 0 {
		return ""
	}
	var names []string
	for _, sub := range c.Subcommands {
		names = append(names, strings.TrimPrefix(sub.Name, c.Name+" "))
	}
	return ", or one of " + strings.Join(names, ", ") + " before them"
}

// once is a list of a command line. Of two, one would be lost without a word, while who
// writes them may want both. Of other flags the last one counts, as a script may need it.
type once struct {
	flag.Value
	given *string
}

func (o *once) Set(text string) error {
	if o.given != nil && *o.given != text {
		return errors.New("it is there twice, and not the same: give all values in one, with commas between them")
	}
	o.given = &text
	return o.Value.Set(text)
}

// parse reads flags that may stand before, between and behind arguments.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	f.VisitAll(func(known *flag.Flag) {
		if _, ok := known.Value.(interface{ IsList() }); ok {
			known.Value = &once{Value: known.Value}
		}
	})
	for {
		if err := f.Parse(args); err != nil {
			return nil, explain(f, err)
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

// wrongFlag is in the errors of the package flag that do not say what would be right.
var wrongFlag = regexp.MustCompile(`( not defined: | for flag | for )-([^:]+)(: parse error|: value out of range|$)`)

// explain adds to an error of f what would be right.
func explain(f *flag.FlagSet, err error) error {
	m := wrongFlag.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	if known := f.Lookup(m[2]); known != nil {
		want := map[string]string{
			"time.Duration": "a time, such as 90s or 5m", "int": "a whole number", "uint64": "a whole number", "float64": "a number", "bool": "true or false",
		}[fmt.Sprintf("%T", known.Value.(flag.Getter).Get())]
		return fmt.Errorf("%w; it must be %s", err, want)
	}
	near := ""
	f.VisitAll(func(known *flag.Flag) {
		if near == "" && isNear(strings.ReplaceAll(m[2], "-", "_"), known.Name) {
			near = known.Name
		}
	})
	if near != "" {
		err = fmt.Errorf("%w; is it --%s?", err, near)
	}
	return err
}

// isNear reports whether all but a letter or two of a and b are the same, in order.
func isNear(a, b string) bool {
	start, end := 0, 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return max(len(a), len(b))-start-end <= min(2, len(b)/2)
}

// status prints the error, if any, and returns the exit status.
func (c Command) status(ctx context.Context, err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "%s: %s\n", c.Name, cmp.Or(c.Interrupted, "interrupted"))
		return ExitInterrupted
	case errors.Is(err, ErrSaid):
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(stderr, "%s: %v (see %s --help)\n", c.Name, err, c.Name)
	default:
		fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
	}
	if errors.Is(err, ErrUsage) {
		return ExitUsage
	}
	return ExitFailed
}

// Usagef returns an error that wraps ErrUsage. Its text is the format's alone.
func Usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

type usageError struct{ error }

func (e usageError) Unwrap() []error { return []error{ErrUsage, e.error} }

// OneOf returns an error that lists what the flag may be, unless value is among it.
func OneOf(name, value string, values []string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return fmt.Errorf("--%s=%s: it must be one of %s", name, value, strings.Join(values, ", "))
}
