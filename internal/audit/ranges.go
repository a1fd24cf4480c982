package audit

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"facestream/transforms/store"
)

// union returns the offsets of ranges in any order; those that cannot be
// offsets are left out.
func union(ranges []store.Range) []store.Range {
	ranges = slices.DeleteFunc(slices.Clone(ranges), func(r store.Range) bool { return !valid(r) })
	slices.SortFunc(ranges, func(a, b store.Range) int { return cmp.Compare(a.First, b.First) })
	return store.MergeRanges(ranges, nil)
}

func valid(r store.Range) bool { return 0 <= r.First && r.First <= r.Last && r.Last < math.MaxInt64 }

// inOrder says whether ranges are as a ledger has them.
func inOrder(ranges []store.Range) bool {
	next := int64(0)
	for _, r := range ranges {
		if !valid(r) || r.First < next {
			return false
		}
		next = r.Last + 1
	}
	return true
}

// subtract returns what is in a and not in b. Both are unions.
func subtract(a, b []store.Range) []store.Range {
	out := []store.Range{}
	for _, r := range a {
		for len(b) > 0 && b[0].Last < r.First {
			b = b[1:]
		}
		for _, cut := range b {
			if cut.First > r.Last || r.First > r.Last {
				break
			}
			if cut.First > r.First {
				out = append(out, store.Range{First: r.First, Last: cut.First - 1})
			}
			r.First = cut.Last + 1
		}
		if r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// between returns what of a union is in [first, end).
func between(ranges []store.Range, first, end int64) []store.Range {
	out := []store.Range{}
	for _, r := range ranges {
		if r = (store.Range{First: max(r.First, first), Last: min(r.Last, end-1)}); r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// contains says whether an offset is in a union.
func contains(ranges []store.Range, offset int64) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= offset })
	return i < len(ranges) && ranges[i].First <= offset
}

// end returns the offset behind the last of a union; 0 if there is none.
func end(ranges []store.Range) int64 {
	if len(ranges) == 0 {
		return 0
	}
	return ranges[len(ranges)-1].Last + 1
}
