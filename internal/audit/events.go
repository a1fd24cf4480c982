package audit

import (
	"fmt"
	"maps"
	"slices"

	"facestream/transforms/store"
)

// checkEvents compares the files of events with the ledgers. It leaves out windows of
// which the same group has read records again, because the run has retracted events of
// these.
func (a *Audit) checkEvents() (problems []Problem) {
	newest := ""
	ledgers := map[string]bool{}
	for i, w := range a.windows {
		newest, ledgers[w.Name] = w.Name, true
		sum := w.Ledger.Sum()
		size, there := a.events[w.Name]
		switch {
		case w.Err != nil || sum.EventBytes == size || a.readAgain(a.windows[i+1:], w):
		case there:
			problems = append(problems, Problem{Kind: EventsSize, Ledger: w.Name, Text: fmt.Sprintf(
				"ledger %s: its %d events have %d bytes, and their file has %d", w.Name, sum.Events, sum.EventBytes, size)})
		default:
			problems = append(problems, Problem{Kind: EventsMissing, Ledger: w.Name, Text: fmt.Sprintf(
				"ledger %s: the file of its %d events is missing", w.Name, sum.Events)})
		}
	}
	for _, window := range slices.Sorted(maps.Keys(a.events)) {
		if !ledgers[window] && window < newest { // a ledger that was not read yet is newer
			problems = append(problems, Problem{Kind: EventsUnknown, Text: "there are events of window " + window + ", which has no ledger"})
		}
	}
	return problems
}

// readAgain reports whether a later window of the group has read some of a window's
// records.
func (a *Audit) readAgain(later []Window, w Window) bool {
	return slices.ContainsFunc(later, func(other Window) bool {
		return other.Ledger.Run.Group == w.Ledger.Run.Group && slices.ContainsFunc(w.Ledger.Partitions, func(l store.Partition) bool { return other.overlaps(l) })
	})
}
