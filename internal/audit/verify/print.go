package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"facestream/internal/audit"
	"facestream/internal/cli"
	"facestream/internal/record"
)

// maxLines is how many problems a person is shown.
const maxLines = 20

// printJSON writes the report as one JSON document, with what it is about.
func printJSON(out io.Writer, o options, r audit.Report) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Kafka  string `json:"kafka"`
		Output string `json:"output"`
		Group  string `json:"group"`
		audit.Report
	}{o.Kafka, o.Output, o.Group, r})
}

// printTable writes the report for a person.
func printTable(out io.Writer, r audit.Report) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "topic\tpartition\tin Kafka\tcommitted\tin ledgers\trecords\tlost\tgaps\twaiting\tpurged\tpictures\trejects")
	for _, p := range r.Partitions {
		committed := "none"
		if p.Committed != nil {
			committed = fmt.Sprint(*p.Committed)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n",
			p.Topic, p.Partition, extent([]record.Range{{First: p.LogStart, Last: p.LogEnd - 1}}), committed, extent(p.Covered),
			p.Records, record.Count(p.Lost), record.Count(p.Gaps), p.Waiting, p.Purged, counts(p.Pictures), counts(p.Rejects))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s", cli.Count(r.Ledgers, "ledger"), cli.Count(r.Temporary.Files, "temporary file"))
	if r.Temporary.Old > 0 {
		fmt.Fprintf(out, " (%d old)", r.Temporary.Old)
	}
	if c := r.Recheck; c != nil {
		fmt.Fprintf(out, ", %s rechecked (%d differ)", cli.Count(c.Records, "record"), c.Differ)
		if c.Mixed > 0 {
			fmt.Fprintf(out, ", %d of them in ledgers with different settings", c.Mixed)
		}
		if c.Gone > 0 {
			fmt.Fprintf(out, ", %d no longer in Kafka", c.Gone)
		}
	}
	fmt.Fprintln(out)
	for _, t := range r.OtherTopics {
		fmt.Fprintf(out, "not looked at: topic %s, %s\n", t.Topic, cli.Count(int(t.Files), "file"))
	}
	for _, p := range r.Problems[:min(len(r.Problems), maxLines)] {
		fmt.Fprintf(out, "- %s\n", p.Text)
	}
	problems := len(r.Problems) + r.LeftOut
	if problems > maxLines {
		fmt.Fprintf(out, "- and %d more (--json lists %d)\n", problems-maxLines, len(r.Problems))
	}
	result := "all agrees"
	if !r.Agrees {
		result = cli.Count(problems, "problem")
	}
	_, err := fmt.Fprintln(out, result)
	return err
}

// extent is from where to where ranges go.
func extent(ranges []record.Range) string {
	n := len(ranges)
	if record.Count(ranges) <= 0 {
		return "none"
	}
	text := fmt.Sprintf("%d-%d", ranges[0].First, ranges[n-1].Last)
	if n > 1 {
		text += fmt.Sprintf(" in %d ranges", n)
	}
	return text
}

// counts says how many of the expected files are there, and which others are.
func counts(f audit.Files) string {
	text := fmt.Sprintf("%d of %d", f.Present, f.Expected)
	if f.Unknown > 0 {
		text += fmt.Sprintf(", %d unknown", f.Unknown)
	}
	if f.Pending > 0 {
		text += fmt.Sprintf(", %d pending", f.Pending)
	}
	return text
}
