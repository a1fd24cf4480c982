package chaos

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"facestream/internal/audit"
)

func TestPrintFaults(t *testing.T) {
	happened := make([]int, len(faults))
	happened[0], happened[3] = 3, 12
	var out bytes.Buffer
	printFaults(&out, happened, 7, 20*time.Minute+300*time.Millisecond)
	for _, want := range []string{
		"15 faults in 20m0s with seed 7:",
		"     3  the Prism pipeline is killed\n",
		"    12  the Flink pipeline's driver is killed\n",
		"     0  the Kafka broker hangs\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func partitionsWith(waiting int64) []audit.Partition {
	return []audit.Partition{
		{Partition: 0, Records: 60, Pictures: audit.Files{Present: 40}, Rejects: audit.Files{Present: 2}},
		{Partition: 1, Records: 40, Pictures: audit.Files{Present: 20}, Rejects: audit.Files{Present: 1}, Waiting: waiting},
	}
}

func TestPrintResults(t *testing.T) {
	var out bytes.Buffer
	err := printResults(&out, []result{
		{"prism", runs{all: 5, killed: 3, failed: 1, peakKB: 300_000}, audit.Report{
			Agrees: true, Ledgers: 38, Partitions: partitionsWith(0), Temporary: audit.Temporary{Files: 4}, Recheck: &audit.Recheck{Records: 90},
		}},
		{"flink", runs{all: 1}, audit.Report{Partitions: partitionsWith(0), Problems: make([]audit.Problem, 2)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(out.String()) {
		rows = append(rows, strings.Fields(line))
	}
	for i, want := range []string{
		"pipeline runs killed failed peak MB windows records pictures rejects temporary rechecked verify",
		"prism 5 3 1 300 38 100 60 3 4 90 all agrees",
		"flink 1 0 0 0 0 100 60 3 0 0 2 problems",
	} {
		if got := strings.Join(rows[i], " "); got != want {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		report audit.Report
		want   []string // none: no error
	}{
		"agrees":  {audit.Report{Agrees: true, Partitions: partitionsWith(0)}, nil},
		"waiting": {audit.Report{Agrees: true, Partitions: partitionsWith(3)}, []string{"prism: 3 records of partition 1 still wait"}},
		"problems": {
			audit.Report{Problems: append([]audit.Problem{{Text: "a gap"}}, make([]audit.Problem, maxProblems+1)...)},
			[]string{"prism: a gap", "prism: and 2 more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := result{name: "prism", Report: c.report}.check()
			if (err == nil) != (c.want == nil) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
		})
	}
}
