package audit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

// claim is what a ledger says of a table.
type claim struct {
	store.Table
	ledger, group string
	open          bool // a run may add rows
	staged        bool // it will be another soon
	found         bool
}

// addClaims adds the tables of a file of ledgers.
func (a *Audit) addClaims(f store.BookFile, name, group string, open bool) {
	for _, t := range f.Tables {
		kind, _ := store.KindOf(t.File)
		a.claims[t.File] = &claim{Table: t, ledger: name, group: group, open: open, staged: kind == store.KindStaged}
		if kind == store.KindStaged {
			a.published[path.Base(t.File)] = true // soon, and then maybe under its own name
		}
	}
}

// AddTable adds the rows of a table that is there, with the lines of their faces' events.
// That they cannot be read is reported. Of a table that counts nowhere there is nothing to
// compare.
func (a *Audit) AddTable(name string, rows iter.Seq2[table.Row, error]) {
	window, _, _ := strings.Cut(path.Base(name), "+")
	c := a.claims[name]
	switch {
	case c != nil:
		c.found = true
	case window < a.newest && !a.published[path.Base(name)]:
		a.report.Add(Problem{Kind: TableUnknown, File: name, Text: fmt.Sprintf("the pictures in %s are in no ledger", name)})
		return
	default: // its ledger is newer than those that were read
		c = &claim{Table: store.Table{Rows: math.MaxInt64}, open: true}
	}
	kind, _ := store.KindOf(name)
	seen := int64(0)
	for row, err := range rows {
		var events []string
		if err == nil {
			events, err = face.EventsOf(&row)
		}
		if errors.Is(err, fs.ErrNotExist) { // a run has published it meanwhile
			return
		}
		if err != nil {
			a.report.Add(Problem{Kind: TableUnreadable, File: name, Text: fmt.Sprintf("reading %s: %v", name, err)})
			return
		}
		n := seen
		if seen++; n >= c.Rows && !c.open {
			continue
		}
		staged := kind == store.KindStaged || n >= c.Rows // its rows may be there twice until they are published
		for _, p := range store.PicturesOf(&row) {
			a.addPicture(p.Name, p.Bytes, c.group, name, n, staged)
		}
		if topic, asked := slices.BinarySearch(a.topics, row.Topic); asked {
			var sums []string
			for _, line := range events {
				sums = append(sums, a.sumOf([]byte(line)))
			}
			a.facts.add(topic, row.Partition, row.Offset, rowFact, c.group, row.SettingsSHA256, fmt.Sprint(sums), name)
		}
	}
	if c.ledger != "" && (seen < c.Rows || seen > c.Rows && !c.open) {
		a.wrongLedger(TableSize, c.ledger, ": it has %d rows in %s, and there are %d (after a purge that was interrupted, purge again)", c.Rows, name, seen)
	}
}

// compareClaims reports tables that are not there. Those that were staged may be elsewhere
// now: their pictures tell.
func (a *Audit) compareClaims() {
	for _, c := range a.claims {
		if !c.found && !c.staged {
			a.report.Add(Problem{Kind: TableMissing, Ledger: c.ledger, File: c.File, Text: fmt.Sprintf("ledger %s: %s with %d rows is missing (after a purge that was interrupted, purge again)", c.ledger, c.File, c.Rows)})
		}
	}
}

// sumOf is a hash of a line of events without how long detection took.
func (a *Audit) sumOf(line []byte) string {
	if i := bytes.LastIndex(line, []byte(`,"detect_ms":`)); i >= 0 {
		line = line[:i]
	}
	return strconv.FormatUint(maphash.Bytes(a.seed, line), 16)
}

// row is a row of a record.
type row struct{ group, settings, sums, table string }

// compareRow compares what a row says of faces with the lines of events, in the order of
// faces. Both are of one window.
func (p *part) compareRow(r record.Range, l *ledger, lines []event) {
	if !l.Stored.Rows || !l.here.pictures || len(lines) == 0 {
		return
	}
	slices.SortStableFunc(lines, func(a, b event) int { return cmp.Compare(a.face, b.face) })
	var sums []string
	for _, e := range lines {
		sums = append(sums, e.sum)
	}
	for _, row := range p.rows {
		if row.group == l.Group && row.settings == l.Settings && row.sums != fmt.Sprint(sums) {
			p.extendProblem(Problem{Kind: RowDiffers, Offsets: &r, Ledger: l.Name, File: row.table}, "the faces in %s are not those of the events", row.table)
		}
	}
}
