package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// Lines scroll by above a status, which is renewed in place and never wraps.
func TestScreen(t *testing.T) {
	terminal := testkit.NewTerminal(t, 20)
	t.Setenv("TERM", "xterm")
	s := NewScreen(terminal)
	shows := func(want ...string) {
		t.Helper()
		testkit.Await(t, fmt.Sprintf("%q", want), func() bool { return slices.Equal(terminal.Lines(), want) })
	}
	s.SetStatus("")
	fmt.Fprintln(s, "first")
	shows("first", "")
	s.SetStatus("1 record")
	s.SetStatus("2 records")
	fmt.Fprintln(s, "second")
	shows("first", "second", "2 records")
	s.SetStatus("1234567890123456789012345")
	shows("first", "second", "1234567890123456789")
	terminal.Resize(t, 6)
	fmt.Fprintln(s, "third")
	shows("first", "second", "third", "12345")
	s.SetStatus("")
	shows("first", "second", "third", "")

	file := testkit.Value(os.Create(t.TempDir() + "/file"))(t)
	defer file.Close()
	for _, out := range []io.Writer{file, &strings.Builder{}} {
		if NewScreen(out) != nil {
			t.Errorf("%T is a screen", out)
		}
	}
	t.Setenv("TERM", "dumb")
	if NewScreen(terminal) != nil {
		t.Error("a dumb terminal is a screen")
	}
}

func TestLog(t *testing.T) {
	for format, want := range map[string]string{
		LogPlain: "\nDONE\n  3 records\ncareful\n",
		LogJSON:  `"level":"INFO","msg":"DONE","n":3}` + "\n" + `"level":"WARN","msg":"careful"}` + "\n",
	} {
		var all, quiet strings.Builder
		for out, level := range map[*strings.Builder]slog.Level{&all: slog.LevelInfo, &quiet: slog.LevelWarn} {
			log := NewLog(out, format, level)
			log.Info("\nDONE\n  3 records", "n", 3)
			log.Warn("careful")
		}
		for line := range strings.Lines(want) {
			if !strings.Contains(all.String(), line) {
				t.Errorf("%s: %q is not in %s", format, line, &all)
			}
		}
		if strings.Count(quiet.String(), "\n") != 1 || !strings.Contains(quiet.String(), "careful") {
			t.Errorf("%s, quiet: %s", format, &quiet)
		}
	}
}
