package runners

import "strings"

const (
	causeLines = 10
	causeBytes = 2000
	// lostHarness is how Prism says that a harness has gone. That is Java's: Go's is
	// in this process.
	lostHarness = "SDK worker disconnected"
)

// rootCause is what matters to a person of a job's cause of failure: of a DoFn's
// error the innermost, of a Java exception what stands above its stack.
func rootCause(cause string) string {
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
	lines = lines[:min(len(lines), causeLines)]
	text := strings.TrimSpace(strings.Join(lines, ""))
	text = strings.ToValidUTF8(text[:min(len(text), causeBytes)], "")
	if strings.Contains(text, lostHarness) {
		text = "the Java harness, which reads from Kafka, has ended: " + text
	}
	return text
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
