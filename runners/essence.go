package runners

import "strings"

const (
	essenceLines = 10
	essenceBytes = 2000
)

// essence is what matters to a person of a job's cause of failure: of a DoFn's
// error the innermost, of a Java exception what stands above its stack.
func essence(cause string) string {
	if _, after, found := cutLast(cause, "caused by:"); found { // how the Go SDK joins errors
		cause = after
	}
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(cause)) {
		if strings.HasPrefix(line, "\tat ") || strings.HasPrefix(line, "Driver stacktrace:") {
			break
		}
		lines = append(lines, line)
	}
	lines = lines[:min(len(lines), essenceLines)]
	text := strings.TrimSpace(strings.Join(lines, ""))
	return strings.ToValidUTF8(text[:min(len(text), essenceBytes)], "")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
