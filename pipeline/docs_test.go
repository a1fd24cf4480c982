package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"facestream/internal/bench"
	"facestream/internal/camera"
	"facestream/internal/chaos"
	"facestream/internal/cli"
	"facestream/internal/stack"
	"facestream/internal/testkit"
)

var updateDocs = flag.Bool("update", false, "write docs/flags.md anew")

const flagsPage = "../docs/flags.md"

// docs/flags.md is what the programs say of their flags:
// go test ./pipeline -run TestFlagsPage -update
func TestFlagsPage(t *testing.T) {
	got := flagsMarkdown(program(), camera.Command("facestream-camera"), stack.Command("facestream-stack"), bench.Command(), chaos.Command())
	if *updateDocs {
		testkit.Must(t, os.WriteFile(flagsPage, []byte(got), 0o644))
	}
	want := testkit.ReadFile(t, flagsPage)
	if got != string(want) {
		t.Errorf("%s is not what the programs say: run go test ./pipeline -run TestFlagsPage -update", flagsPage)
	}
}

// flagsMarkdown has a table for each command. A command with the flags of another one
// names it instead; one that its parent's help does not name is left out.
func flagsMarkdown(programs ...cli.Command) string {
	var b strings.Builder
	b.WriteString("# Flags\n\nWritten by `go test ./pipeline -run TestFlagsPage -update`. Flags may stand before and behind\n" +
		"other arguments, with one dash or two. Each program and subcommand also takes `--help` and\n`--version`. " +
		"Of a flag that is there twice, the last one counts; two lists with commas between their\nvalues are refused, unless they are the same (`TestListsGivenTwice`).\n")
	tables := map[string]string{} // the command that has it first
	var add func(cli.Command)
	add = func(c cli.Command) {
		if table := flagTable(c); table != "" {
			fmt.Fprintf(&b, "\n## %s\n\n", c.Name)
			if first, ok := tables[table]; ok {
				fmt.Fprintf(&b, "The flags of %s.\n", first)
			} else {
				tables[table] = c.Name
				b.WriteString(table)
			}
		}
		for _, sub := range c.Subcommands {
			word := sub.Name[strings.LastIndexByte(sub.Name, ' ')+1:]
			if regexp.MustCompile(`\b` + word + `\b`).MatchString(c.Usage) {
				add(sub)
			}
		}
	}
	for _, c := range programs {
		add(c)
	}
	return b.String()
}

// flagTable is empty for a command without flags.
func flagTable(c cli.Command) string {
	rows := ""
	c.VisitFlags(func(f *flag.Flag) {
		value, meaning := flag.UnquoteUsage(f)
		meaning, standard, _ := strings.Cut(meaning, " Default: ")
		switch f.DefValue {
		case "", "0", "0s", "false":
		default:
			if standard == "" {
				standard = "`" + strings.TrimSuffix(f.DefValue, "m0s")
				if strings.HasSuffix(f.DefValue, "m0s") {
					standard += "m"
				}
				standard += "`"
			}
		}
		name := "--" + f.Name
		if strings.ToLower(value) == value { // WIDTHxHEIGHT stays as it is
			value = strings.ToUpper(value)
		}
		if value != "" {
			name += "=" + strings.ReplaceAll(value, " ", "_")
		}
		row := fmt.Sprintf("| `%s` | %s | %s |\n", name, cell(meaning), cell(strings.TrimSuffix(standard, ".")))
		rows += strings.ReplaceAll(row, "|  |", "| |")
	})
	if rows == "" {
		return ""
	}
	return "| flag | meaning | default |\n|---|---|---|\n" + rows
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

var (
	markdownLink = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	codeBlock    = regexp.MustCompile("(?s)```.*?```")
	testName     = regexp.MustCompile("`((?:[a-z]+\\.)?(?:Test|Benchmark)[A-Z]\\w*)(?:/([\\w/-]+))?`")
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	testFunc     = regexp.MustCompile(`(?m)^func (Test\w+|Benchmark\w+)\(`)
)

// What the pages link to is there, and so are the tests that they name, such as
// TestPages, or chaos.TestFaults/prism/driver.
func TestPages(t *testing.T) {
	pages, tests := map[string]string{}, map[string]string{} // tests are the files that have one
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "../build" || path == "../.git"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".md") && !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if strings.HasSuffix(path, ".md") {
			pages[path] = codeBlock.ReplaceAllString(string(data), "")
		}
		for _, found := range testFunc.FindAllStringSubmatch(string(data), -1) {
			tests[found[1]] += string(data)
			tests[filepath.Base(filepath.Dir(path))+"."+found[1]] += string(data)
		}
		return err
	})
	testkit.Must(t, err)
	for page, text := range pages {
		for _, found := range markdownLink.FindAllStringSubmatch(text, -1) {
			target, anchor := found[1], found[2]
			if strings.Contains(target, "://") {
				continue
			}
			to := page
			if target != "" {
				to = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", page, target, err)
			}
			if anchor != "" && !hasAnchor(pages[to], anchor) {
				t.Errorf("%s links to %s%s, which has no such heading", page, target, anchor)
			}
		}
		for _, found := range testName.FindAllStringSubmatch(text, -1) {
			if file := tests[found[1]]; file == "" || found[2] != "" && !strings.Contains(file, `"`+found[2]+`"`) {
				t.Errorf("%s names %s, and there is no such test", page, found[0])
			}
		}
	}
	if len(pages) < 10 || len(tests) < 100 {
		t.Errorf("%d pages and %d tests: too few", len(pages), len(tests))
	}
}

// hasAnchor reports whether a page has the heading of an anchor, as GitHub makes them.
func hasAnchor(page, anchor string) bool {
	for _, found := range heading.FindAllStringSubmatch(page, -1) {
		name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(found[1])), " ", "-")
		if "#"+regexp.MustCompile(`[^\w\-]`).ReplaceAllString(name, "") == anchor {
			return true
		}
	}
	return false
}

// systemd takes the unit of the docs.
func TestUnit(t *testing.T) {
	unit := string(testkit.ReadFile(t, "../docs/facestream.service"))
	// It wants the program to be there, and its user.
	for from, to := range map[string]string{"/opt/facestream/bin/facestream": os.Args[0], "User=facestream": "User=root"} {
		if !strings.Contains(unit, from) {
			t.Fatalf("the unit has no %s", from)
		}
		unit = strings.ReplaceAll(unit, from, to)
	}
	file := filepath.Join(t.TempDir(), "facestream.service")
	testkit.WriteFile(t, file, []byte(unit))
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "facestream.service") {
		t.Errorf("%v: %s", err, out)
	}
}

// The manifests fit the schemas of Kubernetes, which refuse what is unknown or wrong.
func TestManifestSchemas(t *testing.T) {
	t.Parallel()
	validate := func(files ...string) (string, error) {
		args := append([]string{"--strict", "--quiet"}, files...)
		out, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(python(t)), "kubernetes-validate"), args...).CombinedOutput()
		return string(out), err
	}
	files := testkit.Value(filepath.Glob("../deploy/kubernetes/*.yaml"))(t)
	if out, err := validate(files...); err != nil || len(files) < 6 {
		t.Errorf("%q: %v: %s", files, err, out)
	}
	run := string(testkit.ReadFile(t, "../deploy/kubernetes/run.yaml"))
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	for _, to := range []string{"replicas: one", "replica: 1"} {
		testkit.WriteFile(t, wrong, []byte(strings.Replace(run, "replicas: 1", to, 1)))
		if out, err := validate(wrong); err == nil {
			t.Errorf("%s is taken: %s", to, out)
		}
	}
}
