package audit

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"facestream/internal/record"
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

// Rows are those of a table that are to be compared.
type Rows struct {
	audit        *Audit
	table, group string
	rows         int64 // that count
	open, staged bool
	seen         int64
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

// Table returns what to do with the rows of a table that is there. Of one that counts
// nowhere there is nothing to compare, and false is returned.
func (a *Audit) Table(name string) (*Rows, bool) {
	kind, _ := store.KindOf(name)
	r := &Rows{audit: a, table: name, rows: math.MaxInt64, open: true, staged: kind == store.KindStaged}
	window, _, _ := strings.Cut(path.Base(name), "+")
	switch c := a.claims[name]; {
	case c != nil:
		c.found = true
		r.group, r.rows, r.open = c.group, c.Rows, c.open
	case window < a.newest && !a.published[path.Base(name)]:
		a.report.Add(Problem{Kind: TableUnknown, File: name, Text: fmt.Sprintf("the pictures in %s are in no ledger", name)})
		return nil, false
	}
	return r, true
}

// Add adds a row. events are the lines of its faces.
func (r *Rows) Add(row *table.Row, events []string) {
	n := r.seen
	if r.seen++; n >= r.rows && !r.open {
		return
	}
	staged := r.staged || n >= r.rows // its rows may be there twice until they are published
	for _, p := range store.PicturesOf(row) {
		r.audit.addPicture(p.Name, p.Bytes, r.group, r.table, n, staged)
	}
	if topic, asked := slices.BinarySearch(r.audit.topics, row.Topic); asked {
		var sums []string
		for _, line := range events {
			sums = append(sums, r.audit.sumOf([]byte(line)))
		}
		r.audit.facts.add(topic, row.Partition, row.Offset, rowFact, r.group, row.SettingsSHA256, fmt.Sprint(sums), r.table)
	}
}

// Done is told that all rows were read, or why not.
func (r *Rows) Done(err error) {
	switch {
	case err != nil:
		r.audit.report.Add(Problem{Kind: TableUnreadable, File: r.table, Text: fmt.Sprintf("reading %s: %v", r.table, err)})
	case r.rows != math.MaxInt64 && (r.seen < r.rows || r.seen > r.rows && !r.open):
		c := r.audit.claims[r.table]
		r.audit.wrongLedger(TableSize, c.ledger, ": it has %d rows in %s, and there are %d (after a purge that was interrupted, purge again)", c.Rows, r.table, r.seen)
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
