package audit

import (
	"cmp"
	"path"
	"slices"
	"sort"
	"strings"
	"unique"

	"facestream/internal/record"
	"facestream/transforms/store"
)

// A family is the files of one kind. A record has at most one of each, but for
// its crops.
type family struct {
	kind             store.Kind
	name             string // of one of them
	missing, unknown string // kinds of problems
}

// The families, as indices of families and part.files.
const (
	pictures = iota
	annotated
	crops
	rejects
	kept
)

var families = [...]family{
	pictures:  {store.KindPicture, "picture", PictureMissing, PictureUnknown},
	annotated: {store.KindAnnotated, "annotated picture", AnnotatedMissing, AnnotatedUnknown},
	crops:     {store.KindFace, "crop", CropMissing, CropUnknown},
	rejects:   {store.KindReject, "file about the rejection", RejectMissing, RejectUnknown},
	kept:      {store.KindKept, "file with the kept value", KeptMissing, KeptUnknown},
}

// file is one that is there. There may be millions.
type file struct {
	offset, size int64
	folder       unique.Handle[string]
	extension    unique.Handle[string] // what follows the record in its name
}

// newFile returns a file of a record by its name relative to the root.
func newFile(name string, offset, size int64) file {
	const offsetDigits = 20
	base := path.Base(name)
	_, extension, _ := strings.Cut(base[strings.LastIndex(base, "+")+offsetDigits:], ".")
	return file{offset, size, unique.Make(path.Dir(name)), unique.Make("." + extension)}
}

// files are those of one family and partition.
type files struct {
	expected []record.Range // offsets that have one by the ledgers
	found    []file         // sorted by settle
	offsets  []record.Range // of what was found
	sizes    []int64        // sums of sizes, of found[:i]
}

// settle makes the rest of found.
func (f *files) settle() {
	slices.SortStableFunc(f.found, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), strings.Compare(a.extension.Value(), b.extension.Value()))
	})
	f.offsets, f.sizes = []record.Range{}, make([]int64, len(f.found)+1)
	for i, one := range f.found {
		f.sizes[i+1] = f.sizes[i] + one.size
		if last := len(f.offsets) - 1; last >= 0 && one.offset <= f.offsets[last].Last+1 {
			f.offsets[last].Last = one.offset
		} else {
			f.offsets = append(f.offsets, record.Range{First: one.offset, Last: one.offset})
		}
	}
}

// at returns what was found of some offsets, as indices of found.
func (f *files) at(r record.Range) (from, to int) {
	from = sort.Search(len(f.found), func(i int) bool { return f.found[i].offset >= r.First })
	to = sort.Search(len(f.found), func(i int) bool { return f.found[i].offset > r.Last })
	return from, to
}

// size returns how many files some offsets have, and their size; whole reports whether
// each offset has one.
func (f *files) size(ranges []record.Range) (n, bytes int64, whole bool) {
	for _, r := range ranges {
		from, to := f.at(r)
		n += int64(to - from)
		bytes += f.sizes[to] - f.sizes[from]
	}
	return n, bytes, len(record.Subtract(ranges, f.offsets)) == 0
}

// names returns the names of some of what was found, relative to the root.
func (p *part) names(which, from, to int) []string {
	var names []string
	for _, f := range p.files[which].found[from:to] {
		names = append(names, path.Join(f.folder.Value(), store.RecordName(p.At(f.offset))+f.extension.Value()))
	}
	return names
}
