// Package preflight checks everything that a run needs, before anything is submitted.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"facestream/internal/config"
	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// quiet is how long anything waits for the output before it says so.
	quiet = 4 * time.Second
	// patience is how long a run waits for checks that it can do without, once it could start.
	patience = 500 * time.Millisecond
	// brokerTimeout is for what the brokers say of themselves: a run waits for it.
	brokerTimeout = 2 * time.Second
)

// checkTimeout is for Check, which a person waits for. What has never answered ends before. A
// run waits for an output that has, as long as the file system tries again.
var checkTimeout = 12 * time.Second

// check is for one thing that a run needs, and changes nothing.
type check struct {
	name    string
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

// Checks are all that a run's options call for.
type Checks struct {
	options config.Options
	store   store.Config
	// elsewhere says that a cluster on another machine reads and writes.
	elsewhere func() bool
	Offsets   *kafka.Offsets // once Essential has returned without an error; Stop closes it

	kafka, group, output *check
	all                  []*check // in the order of a report
	looking              context.Context
	cancel               context.CancelFunc
}

// Start starts all checks at once. The caller stops them in the end.
func Start(ctx context.Context, o config.Options, cfg store.Config) *Checks {
	c := &Checks{options: o, store: cfg, elsewhere: sync.OnceValue(o.Runner.Elsewhere)}
	c.looking, c.cancel = context.WithCancel(ctx)
	c.kafka = c.add("kafka", c.probeKafka)
	c.group = c.add("group", c.probeGroup, c.kafka)
	for _, topic := range o.Topics {
		c.add("topic "+topic, func(ctx context.Context) (finding, error) { return c.probeTopic(ctx, topic) }, c.kafka)
	}
	c.output = c.add("output", c.probeOutput)
	c.add("space", c.probeSpace, c.output)
	c.add("detector", c.probeDetector)
	if runners.NeedsJava(o.Runner, c.options.OwnExpansion()) {
		c.add("java", c.probeJava)
		c.add("java parts", c.probeParts)
	}
	if o.ExpansionAddr != "" {
		c.add("expansion", c.probeExpansion)
	}
	switch {
	case o.Runner.Endpoint != "":
		c.add("job server", c.probeJobServer)
	case o.Runner.Master != "" && o.Runner.Name == runners.Flink:
		c.add("flink", c.probeFlink)
	case o.Runner.Master != "":
		c.add("spark", c.probeSpark)
	}
	if server, _, _ := runners.Exposed(o.Runner); server != "" {
		c.add("network", c.probeNetwork)
	}
	return c
}

// Stop ends what is still looking and the connection to Kafka, once the output is as it was.
func (c *Checks) Stop() {
	c.cancel()
	<-c.output.done
	<-c.group.done
	if c.Offsets != nil {
		c.Offsets.Close()
	}
}

// add starts a check. It waits for those that it needs, and is skipped if one of them fails.
func (c *Checks) add(name string, probe func(context.Context) (finding, error), needs ...*check) *check {
	one := &check{name: name, done: make(chan struct{})}
	c.all = append(c.all, one)
	go func() {
		defer close(one.done)
		for _, needed := range needs {
			if needed.wait(c.looking) != nil {
				one.skipped, one.err = true, fmt.Errorf("not checked, as %s failed", needed.name)
				return
			}
		}
		one.found, one.err = probe(c.looking)
	}()
	return one
}

// wait returns the check's error when it is done.
func (c *check) wait(ctx context.Context) error {
	select {
	case <-c.done:
	case <-ctx.Done():
		select { // it may be done as well
		case <-c.done:
		default:
			return context.Cause(ctx)
		}
	}
	return c.err
}

// Check writes a line for each thing that a run needs, and returns all failures together.
func Check(ctx context.Context, o config.Options, out io.Writer) error {
	looking, stop := context.WithTimeout(ctx, checkTimeout)
	defer stop()
	c := Start(looking, o, store.Config{Root: o.Output, Run: store.UniqueName(time.Now())})
	defer c.Stop()
	// A run finds that out when it begins, in one step.
	c.add("lease", c.probeLease, c.output)
	c.add("ledgers", c.probeLedgers, c.kafka, c.output)
	var failed []error
	for _, one := range c.all {
		wait := func() error { return one.wait(ctx) }
		if one == c.output {
			wait = func() error { return c.awaitOutput(ctx, out) }
		}
		err := wait()
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

// Essential waits for the checks without which there is no use in starting anything.
func (c *Checks) Essential(ctx context.Context, out io.Writer) error {
	if err := c.kafka.wait(ctx); err != nil {
		return err
	}
	for _, topic := range c.options.Topics {
		if err := c.Offsets.Exists(topic); err != nil {
			return err
		}
	}
	if err := c.group.wait(ctx); err != nil {
		return err
	}
	return c.awaitOutput(ctx, out)
}

// awaitOutput waits for the check of the output. A NameNode that hangs for a while and a
// port of something else that says nothing look alike, so a person may know better.
func (c *Checks) awaitOutput(ctx context.Context, out io.Writer) error {
	patient, stop := context.WithTimeout(ctx, quiet)
	defer stop()
	if c.output.wait(patient); patient.Err() != nil && ctx.Err() == nil {
		text := c.options.Output + " has not answered yet; waiting, in case that it will"
		if c.onHDFS() {
			text += ". Is its port that of a NameNode's RPC, as in fs.defaultFS (8020 is usual)?"
		}
		c.line(out, "wait", c.output.name, text)
	}
	return c.output.wait(ctx)
}

// Rest writes the warnings, and returns the first failure. It does not wait long for a check
// that still looks: what that may find keeps no run from working, or ends it soon.
func (c *Checks) Rest(ctx context.Context, out io.Writer) error {
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

func (c *Checks) warnings(out io.Writer, one *check) {
	for _, text := range one.found.warnings {
		c.line(out, "warn", one.name, text)
	}
}

func (c *Checks) line(out io.Writer, status, name, text string) {
	width := 0
	for _, one := range c.all {
		width = max(width, len(one.name))
	}
	fmt.Fprintf(out, "%-4s  %-*s  %s\n", status, width, name, strings.ReplaceAll(text, "\n", "; "))
}
