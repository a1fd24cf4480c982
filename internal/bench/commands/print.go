package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

func printJSON(out io.Writer, what any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(what)
}

// table prints rows of cells under each other.
func table(out io.Writer, rows ...[]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// byClass lists the values of classes of processes that do not round to zero,
// the largest first.
func byClass(values map[string]float64) string {
	classes := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		if values[a] != values[b] {
			if values[a] > values[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, class := range classes {
		if text := number(values[class]); text != number(0) {
			out = append(out, class+" "+text)
		}
	}
	return strings.Join(out, ", ")
}

// number writes a value of any size with a few digits.
func number(v float64) string {
	if v >= 100 || v <= -100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// print writes the report for a person.
func (r report) print(out io.Writer) error {
	fmt.Fprintln(out, "frames/s in steady state, and of the bare detector and the bare plumbing right before:")
	rows := [][]string{{"runner", "format", "preset", "slots", "frames/s", "detector", "of it", "plumbing", "of it", "first picture s"}}
	for _, row := range r.Rows {
		rate, ofDetector, ofPlumbing := "?", "?", "?"
		if row.FramesPerSecond > 0 {
			rate, ofDetector, ofPlumbing = number(row.FramesPerSecond), fmt.Sprintf("%.2f", row.RatioToBareDetector), fmt.Sprintf("%.2f", row.RatioToBarePlumbing)
		}
		rows = append(rows, []string{
			row.Runner, row.Format, row.Preset, fmt.Sprint(row.Slots), rate,
			number(row.BareDetector), ofDetector, number(row.BarePlumbing), ofPlumbing, number(row.FirstFileSeconds),
		})
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	for _, part := range []struct {
		title  string
		values func(Row) map[string]float64
	}{
		{"CPU seconds for 1,000 frames, by process", func(r Row) map[string]float64 { return r.CPUSecondsPer1000 }},
		{"peak memory in MB, of the largest process of its kind", func(r Row) map[string]float64 { return r.PeakRSSMB }},
	} {
		fmt.Fprintf(out, "\n%s:\n", part.title)
		rows := [][]string{}
		for _, row := range r.Rows {
			rows = append(rows, []string{row.Runner, row.Format, row.Preset, fmt.Sprint(row.Slots), byClass(part.values(row))})
		}
		if err := table(out, rows...); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "\nms for each frame in the bare plumbing, one worker on one processor that writes one file at a time;\nrest is the processor time of a runner's processes beyond that of the plumbing:")
	rows = [][]string{{"format", "preset", "read", "decode", "detect", "encode", "write", "sum", "rest"}}
	for _, s := range r.Stages {
		rows = append(rows, []string{
			s.Format, s.Preset, number(s.Read), number(s.Decode), number(s.Detect), number(s.Encode), number(s.Write), number(s.Sum()), byClass(s.Rest),
		})
	}
	return table(out, rows...)
}
