package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// checkTimeout is for one check, which a person waits for.
	checkTimeout = 30 * time.Second
	// patience is how much longer than its own start a run waits for checks that
	// it can do without.
	patience = 500 * time.Millisecond
	// brokerTimeout is for what the brokers say of themselves: a run waits for it.
	brokerTimeout = 2 * time.Second
)

// check looks at one thing that a run needs, and changes nothing.
type check struct {
	name  string
	needs *check // Optional. If that one fails, this one cannot look.
	look  func(ctx context.Context) (finding, error)

	done    chan struct{} // closed when the rest is known
	found   finding
	err     error // says what to do
	skipped bool
}

// finding is what a check sees where nothing keeps a run from working.
type finding struct {
	says     string
	warnings []string // each says what to do
}

func (f *finding) warn(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf(format, args...))
}

// checks are all that a run's options call for.
type checks struct {
	options Options
	store   store.Config
	offsets *kafka.Offsets // when kafka is done, unless it failed

	kafka, output *check
	all           []*check // in the order of a report
	cancel        context.CancelFunc
}

// startChecks starts to look at everything at once. Stop them in the end.
func startChecks(ctx context.Context, o Options, cfg store.Config) *checks {
	ctx, cancel := context.WithCancel(ctx)
	c := &checks{options: o, store: cfg, cancel: cancel}
	c.kafka = c.add("kafka", nil, c.lookAtKafka)
	for _, topic := range o.Topics {
		c.add("topic "+topic, c.kafka, func(ctx context.Context) (finding, error) { return c.lookAtTopic(ctx, topic) })
	}
	c.output = c.add("output", nil, c.lookAtOutput)
	c.add("space", c.output, c.lookAtSpace)
	c.add("cascade", nil, c.lookAtCascade)
	if runners.NeedsJava(o.Runner, c.ownExpansion()) {
		c.add("java", nil, c.lookAtJava)
		c.add("java parts", nil, c.lookAtParts)
	}
	if o.ExpansionAddr != "" && o.Runner.Name != runners.Direct {
		c.add("expansion", nil, c.lookAtExpansion)
	}
	switch {
	case o.Runner.Endpoint != "":
		c.add("job server", nil, c.lookAtJobServer)
	case o.Runner.Master != "" && o.Runner.Name == runners.Flink:
		c.add("flink", nil, c.lookAtFlink)
	case o.Runner.Master != "":
		c.add("spark", nil, c.lookAtSpark)
	}
	c.start(ctx)
	return c
}

func (c *checks) start(ctx context.Context) {
	for _, one := range c.all {
		go one.run(ctx)
	}
}

// stop ends what is still looking, the connection to Kafka with it, once the
// output is as it was.
func (c *checks) stop() {
	c.cancel()
	<-c.output.done
	<-c.kafka.done
	if c.offsets != nil {
		c.offsets.Close()
	}
}

func (c *checks) add(name string, needs *check, look func(context.Context) (finding, error)) *check {
	one := &check{name: name, needs: needs, look: look, done: make(chan struct{})}
	c.all = append(c.all, one)
	return one
}

// run does the check once that is done which it needs.
func (c *check) run(ctx context.Context) {
	defer close(c.done)
	if c.needs != nil && c.needs.wait(ctx) != nil {
		c.skipped, c.err = true, fmt.Errorf("not looked at, as %s failed", c.needs.name)
		return
	}
	ctx, stop := context.WithTimeout(ctx, checkTimeout)
	defer stop()
	c.found, c.err = c.look(ctx)
}

// wait returns the check's error when it is done.
func (c *check) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	select { // it may be done as well
	case <-c.done:
		return c.err
	default:
		return context.Cause(ctx)
	}
}

// Check looks at everything that a run needs and writes a line for each thing,
// and one for each warning. The error is that of all failures together.
func Check(ctx context.Context, o Options, out io.Writer) error {
	c := startChecks(ctx, o, store.Config{Root: o.Output, Run: uniqueName(time.Now())})
	defer c.stop()
	var failed []error
	for _, one := range c.all {
		err := one.wait(ctx)
		if ctx.Err() != nil {
			return err
		}
		switch {
		case one.skipped:
			c.line(out, "skip", one.name, err.Error())
		case err != nil:
			failed = append(failed, err)
			c.line(out, "FAIL", one.name, err.Error())
		default:
			c.line(out, "ok", one.name, one.found.says)
		}
		c.warnings(out, one)
	}
	return errors.Join(failed...)
}

// essential waits for the checks without which there is no use in starting
// anything.
func (c *checks) essential(ctx context.Context) error {
	if err := c.kafka.wait(ctx); err != nil {
		return err
	}
	for _, topic := range c.options.Topics {
		if err := c.offsets.Exists(topic); err != nil {
			return err
		}
	}
	return c.output.wait(ctx)
}

// rest writes the warnings, and returns the first failure. It does not wait long
// for a check that is still looking: what that one may find keeps no run from
// working, or ends it soon.
func (c *checks) rest(ctx context.Context, out io.Writer) error {
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for _, one := range c.all {
		switch err := one.wait(waiting); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case waiting.Err() != nil && errors.Is(err, waiting.Err()):
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", one.name, err)
		}
		c.warnings(out, one)
	}
	return nil
}

func (c *checks) warnings(out io.Writer, one *check) {
	for _, text := range one.found.warnings {
		c.line(out, "warn", one.name, text)
	}
}

func (c *checks) line(out io.Writer, status, name, text string) {
	width := 0
	for _, one := range c.all {
		width = max(width, len(one.name))
	}
	fmt.Fprintf(out, "%-4s  %-*s  %s\n", status, width, name, strings.ReplaceAll(text, "\n", "; "))
}
