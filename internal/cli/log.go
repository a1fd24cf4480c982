package cli

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// The formats of a program's lines.
const (
	LogPlain = "plain" // the text alone
	LogJSON  = "json"  // an object a line
)

// LogFormats are all of them.
var LogFormats = []string{LogPlain, LogJSON}

// NewLog returns a logger in one of LogFormats. A message is a line for a person, or
// several of which JSON shows the first one; its attributes are for JSON.
func NewLog(out io.Writer, format string, level slog.Level) *slog.Logger {
	if format == LogJSON {
		return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: firstLine}))
	}
	return slog.New(&plain{out: out, level: level})
}

func firstLine(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.MessageKey && len(groups) == 0 {
		text, _, _ := strings.Cut(strings.TrimSpace(a.Value.String()), "\n")
		a.Value = slog.StringValue(text)
	}
	return a
}

// plain writes messages as they are.
type plain struct {
	mu    sync.Mutex
	out   io.Writer
	level slog.Level
}

func (p *plain) Enabled(_ context.Context, level slog.Level) bool { return level >= p.level }

func (p *plain) Handle(_ context.Context, r slog.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := io.WriteString(p.out, r.Message+"\n")
	return err
}

func (p *plain) WithAttrs([]slog.Attr) slog.Handler { return p }

func (p *plain) WithGroup(string) slog.Handler { return p }
