package runners

import "strings"

// essence is what matters of a job's cause of failure.
func essence(cause string) string { return strings.TrimSpace(cause) }
