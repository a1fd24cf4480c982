package audit

import (
	"cmp"
	"path"
	"slices"
	"sort"
	"unique"

	"facestream/transforms/store"
)

// A family is the files of one kind, of which a record has at most one.
type family struct {
	kind             store.Kind
	name             string // of one of them
	missing, unknown string // kinds of problems
	path             func(topic string, partition int32, offset int64) string
}

// The families, as indices of families and part.files.
const (
	pictures = iota
	rejects
	kept
)

var families = [...]family{
	pictures: {store.KindPicture, "picture", PictureMissing, PictureUnknown, picturePath},
	rejects:  {store.KindReject, "file about the rejection", RejectMissing, RejectUnknown, store.RejectPath},
	kept:     {store.KindKept, "file with the kept value", KeptMissing, KeptUnknown, store.KeptPath},
}

// picturePath has only the right base: the folder is the camera's and the hour's.
func picturePath(topic string, partition int32, offset int64) string {
	return store.Name{Topic: topic, Partition: partition, Offset: offset}.Path()
}

// file is one that is there. There may be millions.
type file struct {
	offset, size int64
	folder       unique.Handle[string]
}

// files are those of one family and partition.
type files struct {
	expected []store.Range // offsets that have one by the ledgers
	found    []file        // sorted by settle
	offsets  []store.Range // of what was found
	sizes    []int64       // sums of sizes, of found[:i]
}

// settle makes the rest of found.
func (f *files) settle() {
	slices.SortStableFunc(f.found, func(a, b file) int { return cmp.Compare(a.offset, b.offset) })
	f.offsets, f.sizes = []store.Range{}, make([]int64, len(f.found)+1)
	for i, one := range f.found {
		f.sizes[i+1] = f.sizes[i] + one.size
		if last := len(f.offsets) - 1; last >= 0 && one.offset <= f.offsets[last].Last+1 {
			f.offsets[last].Last = one.offset
		} else {
			f.offsets = append(f.offsets, store.Range{First: one.offset, Last: one.offset})
		}
	}
}

// at returns what was found of some offsets, as indices of found.
func (f *files) at(r store.Range) (from, to int) {
	from = sort.Search(len(f.found), func(i int) bool { return f.found[i].offset >= r.First })
	to = sort.Search(len(f.found), func(i int) bool { return f.found[i].offset > r.Last })
	return from, to
}

// size returns the size of the files of some offsets, if each has one.
func (f *files) size(ranges []store.Range) (bytes int64, whole bool) {
	var n int64
	for _, r := range ranges {
		from, to := f.at(r)
		n += int64(to - from)
		bytes += f.sizes[to] - f.sizes[from]
	}
	return bytes, n == store.Count(ranges) && len(subtract(ranges, f.offsets)) == 0
}

// names returns the names of some of what was found, relative to the root.
func (p *part) names(which, from, to int) []string {
	var names []string
	for _, f := range p.files[which].found[from:to] {
		base := path.Base(families[which].path(p.topic, p.id, f.offset))
		names = append(names, path.Join(f.folder.Value(), base))
	}
	return names
}
