package bench

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/prometheus/procfs"

	"facestream/internal/cli"
)

// table is what was measured.
type table struct {
	title   string
	rows    any      // a slice of structs: fields with a tag "col" are columns of that name
	columns []string // Optional. Those to show; all if empty.
}

// cells returns the table's text, the names of the columns first.
func (t table) cells() [][]string {
	rows := reflect.ValueOf(t.rows)
	out := make([][]string, 1+rows.Len())
	for _, field := range reflect.VisibleFields(rows.Type().Elem()) {
		name := field.Tag.Get("col")
		if name == "" || t.columns != nil && !slices.Contains(t.columns, name) {
			continue
		}
		out[0] = append(out[0], name)
		for i := range rows.Len() {
			out[1+i] = append(out[1+i], cell(rows.Index(i).FieldByIndex(field.Index).Interface()))
		}
	}
	return out
}

func cell(v any) string {
	switch v := v.(type) {
	case float64:
		return number(v)
	case *float64:
		if v == nil { // unknown
			return "-"
		}
		return number(*v)
	case map[string]float64:
		return byName(v)
	}
	return fmt.Sprint(v)
}

// number writes a value of any size with three digits.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case size >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// byName lists the values that do not round to zero, the largest first.
func byName(values map[string]float64) string {
	names := slices.Sorted(maps.Keys(values))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(values[b], values[a]) })
	var out []string
	for _, name := range names {
		if text := number(values[name]); text != number(0) {
			out = append(out, name+" "+text)
		}
	}
	return strings.Join(out, ", ")
}

// printTables writes tables for a person and, as it is Markdown, for a page.
func printTables(out io.Writer, tables []table) error {
	for _, t := range tables {
		fmt.Fprintf(out, "%s:\n\n", t.title)
		w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
		for i, line := range t.cells() {
			fmt.Fprintf(w, "| %s\t|\n", strings.Join(line, "\t| "))
			if i == 0 {
				fmt.Fprintf(w, "|%s\n", strings.Repeat("---\t|", len(line)))
			}
		}
		fmt.Fprintln(w)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// printJSON writes the rows. Tables of one command are views of the same.
func printJSON(out io.Writer, tables []table) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"rows": tables[0].rows})
}

// versionLine is taken once: the first section of a page that is in Git makes the checkout dirty.
var versionLine = sync.OnceValue(func() string { return cli.VersionLine(libraries()...) })

// section is what a page has of the bench command of that name and flags: when and where it
// was measured, of which version, and how to do it again.
func section(name string, tables []table) string {
	out := &strings.Builder{}
	fmt.Fprintf(out, "## bench %s\n\nMeasured on %s on %s, with %s:\n\n```sh\ngo run ./scripts/bench %s\n```\n\n",
		name, time.Now().UTC().Format(time.DateOnly), machine(), versionLine(), name)
	_ = printTables(out, tables) // a Builder takes all
	return strings.TrimSuffix(out.String(), "\n")
}

// machine describes this one, as far as the kernel tells.
func machine() string {
	model, memory := "an unknown processor", 0.0
	if proc, err := procfs.NewDefaultFS(); err == nil {
		if cpus, err := proc.CPUInfo(); err == nil && len(cpus) > 0 {
			model = cpus[0].ModelName
		}
		if m, err := proc.Meminfo(); err == nil && m.MemTotalBytes != nil {
			memory = float64(*m.MemTotalBytes) / 1e9
		}
	}
	return fmt.Sprintf("%s of %s with %.0f GB of memory", cli.Count(runtime.GOMAXPROCS(0), "core"), model, memory)
}

// writeSection puts a section into a page, between the comments of its place, or at the end.
func writeSection(file, name, text string) error {
	page, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	begin, end := fmt.Sprintf("<!-- bench %s: begin -->\n", name), fmt.Sprintf("<!-- bench %s: end -->\n", name)
	before, rest, found := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	switch {
	case found && !closed:
		return fmt.Errorf("%s has %q without %q", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	case !found && before != "":
		before += "\n"
	}
	return os.WriteFile(file, []byte(before+begin+text+end+after), fileMode)
}
