// Package commands holds what bench can be asked for: each command is a function
// that takes its flags and returns an exit status.
package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/lab"
	"facestream/internal/camera/feed"
	"facestream/internal/cli"
	"facestream/runners"
)

// The presets of the detector that are measured, as --detector takes them.
const (
	parity = "parity"
	fast   = "fast"
)

var (
	allRunners = []string{runners.Prism, runners.Flink, runners.Spark}
	allFormats = []string{feed.JPEG, feed.Raw}
	allPresets = []string{parity, fast}
)

// choice is the command line, checked.
type choice struct {
	runners, formats, presets []string
	slots                     []int
	scale                     float64
	times                     int
	json                      bool
}

// command is one that bench can be asked for.
type command struct {
	name  string
	about string
	// defaults holds what may be chosen from, and is chosen without flags. A flag
	// for what is empty does not exist.
	defaults choice
	// measure measures and prints.
	measure func(ctx context.Context, l *lab.Lab, c choice, out io.Writer) error
}

// list is a flag of comma-separated values, each of them one of several.
type list struct {
	name   string
	known  []string
	chosen []string
}

func (l *list) String() string { return strings.Join(l.chosen, ",") }

func (l *list) Set(text string) error {
	l.chosen = nil
	for _, value := range strings.Split(text, ",") {
		value = strings.TrimSpace(value)
		if !slices.Contains(l.known, value) {
			return fmt.Errorf("%q is none of %s", value, strings.Join(l.known, ", "))
		}
		if !slices.Contains(l.chosen, value) {
			l.chosen = append(l.chosen, value)
		}
	}
	return nil
}

// settings are the flags as given.
type settings struct {
	runners, formats, presets, slots *list
	choice                           choice
}

func (c command) flags(f *flag.FlagSet, s *settings) {
	slots := make([]string, len(c.defaults.slots))
	for i, n := range c.defaults.slots {
		slots[i] = strconv.Itoa(n)
	}
	add := func(name string, known []string, about string) *list {
		l := &list{name: name, known: known, chosen: known}
		if len(known) > 1 {
			f.Var(l, name, about+" to measure, comma-separated.")
		}
		return l
	}
	s.runners = add("runners", c.defaults.runners, "`NAMES` of the runners")
	s.formats = add("formats", c.defaults.formats, "`NAMES` of the frames' formats")
	s.presets = add("presets", c.defaults.presets, "`NAMES` of the detector's presets")
	s.slots = add("slots", slots, "`NUMBERS` of slots")
	f.Float64Var(&s.choice.scale, "scale", 1, "`FACTOR` by which all runs are longer: what is measured gets steadier, and takes more time.")
	f.IntVar(&s.choice.times, "times", 1, "`NUMBER` of times to measure each run; the median counts.")
	f.BoolVar(&s.choice.json, "json", false, "Print JSON instead of a table.")
}

// check reads the settings. Its errors say what is wrong and what would be right.
func (s *settings) check() (choice, error) {
	switch {
	case !(s.choice.scale > 0) || math.IsInf(s.choice.scale, 1): // not NaN either
		return choice{}, cli.Usagef("--scale=%v: it must be more than 0", s.choice.scale)
	case s.choice.times < 1:
		return choice{}, cli.Usagef("--times=%d: it must be 1 or more", s.choice.times)
	}
	out := s.choice
	out.runners, out.formats, out.presets = s.runners.chosen, s.formats.chosen, s.presets.chosen
	for _, n := range s.slots.chosen {
		slots, err := strconv.Atoi(n)
		if err != nil {
			return choice{}, err
		}
		out.slots = append(out.slots, slots)
	}
	return out, nil
}

// Command returns the command line.
func (c command) Command() cli.Command {
	return cli.Command{Name: "bench " + c.name, Usage: c.about + "\n\nFlags:\n", Setup: func(f *flag.FlagSet) cli.Run {
		var s settings
		c.flags(f, &s)
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			chosen, err := s.check()
			if err != nil {
				return err
			}
			err = c.run(ctx, chosen, stdout, stderr)
			if ctx.Err() != nil && errors.Is(err, errLeft) {
				fmt.Fprintf(stderr, "bench: %v\n", err)
			}
			return err
		}
	}}
}

// errLeft is wrapped by the error of run when the lab could not be closed.
var errLeft = errors.New("not everything that was started has ended")

// run measures in a lab of its own.
func (c command) run(ctx context.Context, chosen choice, stdout, stderr io.Writer) (err error) {
	l, err := lab.Open(ctx, chosen.runners, stderr)
	if err != nil {
		return err
	}
	defer func() {
		if left := l.Close(); left != nil {
			err = errors.Join(err, fmt.Errorf("%w: %w", errLeft, left))
		}
	}()
	return c.measure(ctx, l, chosen, stdout)
}

// scaled returns a number of frames in which every mix of faces is as often as
// in others.
func (c choice) scaled(frames int) int {
	periods := math.Round(float64(frames) * c.scale / bare.Period)
	return max(1, int(periods)) * bare.Period
}
