package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	"facestream/internal/audit"
)

// maxProblems is how many of them a person is shown for each pipeline.
const maxProblems = 10

// printFaults says how often each of faults has happened.
func printFaults(out io.Writer, happened []int, seed uint64, took time.Duration) {
	total := 0
	for _, n := range happened {
		total += n
	}
	fmt.Fprintf(out, "\n%d faults in %s with seed %d:\n", total, took.Round(time.Second), seed)
	for i, f := range faults {
		fmt.Fprintf(out, "%6d  %s\n", happened[i], f.what)
	}
	fmt.Fprintln(out)
}

// result is what has become of one pipeline.
type result struct {
	name string
	runs runs
	audit.Report
}

// look lets verify look at what each pipeline has stored, and prints it. The
// error says that something does not agree.
func (s *soak) look(ctx context.Context) error {
	var results []result
	var errs []error
	for _, p := range s.pipelines {
		report, err := s.verify(ctx, p.name)
		if err != nil {
			errs = append(errs, fmt.Errorf("looking at what %s has stored: %w", p.name, err))
			continue
		}
		results = append(results, result{p.name, p.counts(), report})
	}
	err := printResults(s.out, results)
	for _, r := range results {
		errs = append(errs, r.check())
	}
	return errors.Join(append(errs, err)...)
}

// verify runs the program of that name, and keeps what it says among the logs.
func (s *soak) verify(ctx context.Context, runner string) (audit.Report, error) {
	cmd := exec.CommandContext(ctx, s.program("verify"), "--json", "--kafka="+s.stack.Kafka, "--topics="+topic,
		"--user="+user, "--output="+s.output(runner), "--group="+runner, fmt.Sprintf("--recheck=%d", s.o.recheck))
	stderr, err := os.Create(filepath.Join(s.logs(), "verify-"+runner+".log"))
	if err != nil {
		return audit.Report{}, err
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	data, failed := cmd.Output()
	err = os.WriteFile(filepath.Join(s.logs(), "verify-"+runner+".json"), data, fileMode)
	if err != nil {
		return audit.Report{}, err
	}
	var r audit.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return r, errors.Join(failed, fmt.Errorf("reading what verify says: %w; see %s", err, stderr.Name()))
	}
	if (failed == nil) != r.Agrees {
		return r, fmt.Errorf("verify prints agrees=%t, and ends with %s", r.Agrees, cmd.ProcessState)
	}
	return r, nil
}

// check returns an error if not all agrees, or not all was read.
func (r result) check() error {
	var errs []error
	for i, p := range r.Problems {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("%s: and %d more", r.name, len(r.Problems)-maxProblems))
			break
		}
		errs = append(errs, fmt.Errorf("%s: %s", r.name, p.Text))
	}
	for _, p := range r.Partitions {
		if p.Waiting > 0 {
			errs = append(errs, fmt.Errorf("%s: %d records of partition %d still wait", r.name, p.Waiting, p.Partition))
		}
	}
	return errors.Join(errs...)
}

// printResults writes one line a pipeline.
func printResults(out io.Writer, results []result) error {
	const mb = 1000
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tpipeline\truns\tkilled\tfailed\tpeak MB\twindows\trecords\tpictures\trejects\ttemporary\trechecked\tverify\t")
	for _, r := range results {
		var records, pictures, rejects int64
		for _, p := range r.Partitions {
			records += p.Records
			pictures += p.Pictures.Present
			rejects += p.Rejects.Present
		}
		rechecked, verdict := 0, "all agrees"
		if r.Recheck != nil {
			rechecked = r.Recheck.Records
		}
		if !r.Agrees {
			verdict = fmt.Sprintf("%d problems", len(r.Problems))
		}
		fmt.Fprintf(table, "\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.name, r.runs.all, r.runs.killed, r.runs.failed, r.runs.peakKB/mb,
			r.Ledgers, records, pictures, rejects, r.Temporary.Files, rechecked, verdict)
	}
	return table.Flush()
}
