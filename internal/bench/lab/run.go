package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/procs"
	"facestream/internal/proc"
	"facestream/runners"
)

const (
	endGrace = 30 * time.Second // between SIGTERM and SIGKILL
	logTail  = 2 << 10          // how much of its output an error shows

	// oneWindow is more than any run takes.
	oneWindow = 30 * time.Minute
	// WindowBytes are those of a window that holds a whole run, on every runner:
	// what a TaskManager or an executor has the memory for.
	WindowBytes = 256 << 20
	// executorHeap is what the stack's own job server for Spark gives.
	executorHeap = "1536m"
)

// Job is one run of the pipeline.
type Job struct {
	Runner string
	Topic  string
	Preset string
	Slots  int
	Frames int      // the topic's last ones that are read
	Flags  []string // Optional. Further ones.
	// Windows says that a run of steady state may be several.
	Windows bool
}

// Ran is what a run did and used.
type Ran struct {
	Seconds float64 // from the start of the program to its end
	Summary Summary
	Used    map[string]procs.Use // by class of process
}

// Summary holds what is needed of the run's summary.
type Summary struct {
	State            string   `json:"state"`
	Windows          int      `json:"windows"`
	RecordsRead      int64    `json:"records_read"`
	FilesWritten     int64    `json:"files_written"`
	Seconds          float64  `json:"seconds"`
	FirstFileSeconds *float64 `json:"first_file_seconds"` // null without a file
}

// ToTheEnd are the flags that make a run read all there is, in windows as large as
// the runner's default lets them be.
var ToTheEnd = []string{"--drain", "--window=" + oneWindow.String(), "--duration=" + oneWindow.String()}

// InOneWindow are the flags that make such a run one window.
var InOneWindow = append(slices.Clip(ToTheEnd), "--window_bytes="+strconv.Itoa(WindowBytes))

// CPUs returns the processors that a run on Prism with so many slots is bound to,
// so that it uses as many as others have slots; nil if those are all there are,
// and on other runners.
func (l *Lab) CPUs(runner string, slots int) []int {
	if runner != runners.Prism || slots >= len(l.cpus) {
		return nil
	}
	return l.cpus[:slots]
}

// OneCPU returns a processor for what is to be done on one.
func (l *Lab) OneCPU() []int { return l.cpus[:1] }

// Run runs the pipeline to its end.
func (l *Lab) Run(ctx context.Context, j Job) (Ran, error) {
	l.runs++
	name := fmt.Sprint("run-", l.runs)
	if err := l.leave(ctx, name, j.Topic, j.Frames); err != nil {
		return Ran{}, err
	}
	summary := filepath.Join(l.dir, name+".json")
	args := slices.Concat(l.command(j.Runner, j.Slots), []string{
		"--kafka=" + l.stack.Kafka, "--topics=" + j.Topic, "--group=" + name, "--user=" + user,
		"--output=" + l.output(name), "--detector=" + j.Preset, "--summary=" + summary,
	}, j.Flags)
	if err := l.procs.Begin(); err != nil {
		return Ran{}, err
	}
	began := time.Now()
	env := []string{"SPARK_EXECUTOR_MEMORY=" + executorHeap}
	if _, err := execute(ctx, l.CPUs(j.Runner, j.Slots), env, args); err != nil {
		return Ran{}, err
	}
	ran := Ran{Seconds: time.Since(began).Seconds()}
	var err error
	if ran.Used, err = l.procs.Used(); err != nil {
		return Ran{}, err
	}
	data, err := os.ReadFile(summary)
	if err != nil {
		return Ran{}, err
	}
	if err := json.Unmarshal(data, &ran.Summary); err != nil {
		return Ran{}, fmt.Errorf("reading %s: %w", summary, err)
	}
	return ran, nil
}

// command is the program and the flags that say where it runs.
func (l *Lab) command(runner string, slots int) []string {
	args := []string{l.program(), "--runner=" + runner, "--state_dir=" + l.dir}
	switch runner {
	case runners.Flink:
		args = append(args, "--endpoint="+l.stack.Flink, fmt.Sprint("--parallelism=", slots))
	case runners.Spark:
		args = append(args, "--master="+l.stack.SparkMaster, fmt.Sprint("--parallelism=", slots))
	}
	return args
}

func (l *Lab) output(name string) string { return l.stack.HDFS + "/user/" + user + "/" + name }

// Bound measures a bound in a process that is bound to processors, as those of a
// run on Prism; nil stands for all.
func (l *Lab) Bound(ctx context.Context, c bare.Config, cpus []int) (bare.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return bare.Result{}, err
	}
	if c.Bound == bare.Plumbing {
		l.runs++
		c.Brokers, c.Output = l.stack.Kafka, strings.Replace(l.output(fmt.Sprint("run-", l.runs)), "://", "://"+user+"@", 1)
	}
	out, err := execute(ctx, cpus, nil, slices.Concat([]string{self, bare.Command}, c.Args()))
	if err != nil {
		return bare.Result{}, err
	}
	var r bare.Result
	if err := json.Unmarshal(out, &r); err != nil {
		return bare.Result{}, fmt.Errorf("reading the bound %q: %w", out, err)
	}
	return r, nil
}

// execute runs a program to its end, on some of the processors if it is said on
// which, and returns what it prints. When ctx ends, it ends the program.
func execute(ctx context.Context, cpus []int, env, args []string) ([]byte, error) {
	if cpus != nil {
		list := make([]string, len(cpus))
		for i, cpu := range cpus {
			list[i] = strconv.Itoa(cpu)
		}
		// It becomes the program: there is no further process.
		args = slices.Concat([]string{"taskset", "-c", strings.Join(list, ",")}, args)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	child, err := proc.StartBound(cmd)
	if err != nil {
		return nil, err
	}
	named, err := proc.NewProcess(args[0], cmd.Process.Pid, "")
	select {
	case <-child.Ended:
		err = child.Err
	case <-ctx.Done():
		if err == nil { // else it has ended already
			err = named.End(endGrace)
		}
		<-child.Ended
		return nil, errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, tail(stdout.Bytes()), tail(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

func tail(out []byte) []byte { return out[max(0, len(out)-logTail):] }

// ErrTooShort is wrapped by errors that say that a rate cannot be told: what else
// happened on the machine made more of a difference than the number of frames.
var ErrTooShort = errors.New("too little to tell how long a frame takes; give a larger --scale")

// Steady is what a job does once it runs, which two runs of different lengths
// tell, and what its start costs.
type Steady struct {
	Rate      float64            // frames a second; 0 with ErrTooShort
	FirstFile float64            // seconds from the start of the program to the first picture; 0 without one
	CPU       map[string]float64 // seconds for 1,000 frames, by class of process
	Peak      map[string]float64 // MB (1,000,000 bytes) of the largest process of a class
}

// Steady measures a job with two numbers of frames, each of them as often as
// said; the median of their times counts. With ErrTooShort it still says what the
// runs have used.
func (l *Lab) Steady(ctx context.Context, j Job, short, long, times int) (Steady, error) {
	if err := l.warmUp(ctx, j, short); err != nil {
		return Steady{}, err
	}
	var ran [2][]Ran
	for range times {
		for i, n := range []int{short, long} {
			j.Frames = n
			r, err := l.Run(ctx, j)
			if err == nil {
				err = r.complete(n, j.Windows)
			}
			if err != nil {
				return Steady{}, err
			}
			ran[i] = append(ran[i], r)
		}
	}
	return steady(median(ran[0]), median(ran[1]))
}

// warmUp runs the first job of a runner once more, and on Flink that with more slots:
// a new cluster is slow, and so is a TaskManager that was idle so far. The shorter run
// would have all of that. Executors of Spark are new for each run, as all of Prism is.
func (l *Lab) warmUp(ctx context.Context, j Job, frames int) error {
	warm := l.warm[j.Runner]
	if j.Runner == runners.Prism || warm >= j.Slots || j.Runner == runners.Spark && warm > 0 {
		return nil
	}
	l.warm[j.Runner] = j.Slots
	j.Frames = frames
	_, err := l.Run(ctx, j)
	return err
}

// complete says whether the run has read n records, in one window if it may not be
// several.
func (r Ran) complete(n int, windows bool) error {
	if r.Summary.State != "DONE" || r.Summary.RecordsRead != int64(n) {
		return fmt.Errorf("the run should have read %d records: %+v", n, r.Summary)
	}
	if r.Summary.Windows != 1 && !windows {
		return fmt.Errorf("the run should have been one window: %+v", r.Summary)
	}
	return nil
}

// median returns the run of the middle by its time, the slower of two.
func median(ran []Ran) Ran {
	sorted := slices.SortedFunc(slices.Values(ran), func(a, b Ran) int {
		if a.Seconds < b.Seconds {
			return -1
		}
		return 1
	})
	return sorted[len(sorted)/2]
}

// steady takes what the shorter run did out of the longer, which has more frames.
func steady(short, long Ran) (Steady, error) {
	frames := float64(long.Summary.RecordsRead - short.Summary.RecordsRead)
	s := Steady{CPU: map[string]float64{}, Peak: map[string]float64{}}
	for class, use := range long.Used {
		// A process that does nothing for the frames may have used less.
		s.CPU[class] = max(0, use.CPU-short.Used[class].CPU).Seconds() / frames * 1000
		s.Peak[class] = float64(use.Peak) / 1e6
	}
	if first := short.Summary.FirstFileSeconds; first != nil {
		s.FirstFile = *first
	}
	seconds := long.Seconds - short.Seconds
	if seconds <= 0 {
		return s, fmt.Errorf("%d frames took %.1f s and %d frames %.1f s: %w",
			short.Summary.RecordsRead, short.Seconds, long.Summary.RecordsRead, long.Seconds, ErrTooShort)
	}
	s.Rate = frames / seconds
	return s, nil
}

// JobCPU is the processor time in milliseconds that a frame takes in the
// processes of the job: all but those of Kafka and HDFS.
func (s Steady) JobCPU() float64 {
	var sum float64
	for class := range s.CPU {
		if !slices.Contains(Services, class) {
			sum += s.CPU[class]
		}
	}
	return sum
}
