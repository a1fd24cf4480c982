package record

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Range is consecutive offsets, the last one included.
type Range struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Offsets are ranges of one partition.
type Offsets struct {
	TopicPartition
	Ranges []Range // in order
}

func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("offset %d", r.First)
	}
	return fmt.Sprintf("offsets %d to %d", r.First, r.Last)
}

// Valid reports whether a range can be one of offsets.
func (r Range) Valid() bool { return 0 <= r.First && r.First <= r.Last && r.Last < math.MaxInt64 }

// Count returns how many offsets the ranges hold.
func Count(ranges []Range) (n int64) {
	for _, r := range ranges {
		n += r.Last - r.First + 1
	}
	return n
}

// Union returns the offsets of ranges in any order, in order and without overlap.
// Ranges that are not valid are left out.
func Union(ranges []Range) []Range {
	ranges = slices.DeleteFunc(slices.Clone(ranges), func(r Range) bool { return !r.Valid() })
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	return Merge(ranges, nil)
}

// Merge unites two lists of ranges that are in order.
func Merge(a, b []Range) []Range {
	out := make([]Range, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		if len(a) == 0 || len(b) > 0 && b[0].First < a[0].First {
			a, b = b, a
		}
		next := a[0]
		a = a[1:]
		if last := len(out) - 1; last >= 0 && next.First <= out[last].Last+1 {
			out[last].Last = max(out[last].Last, next.Last)
		} else {
			out = append(out, next)
		}
	}
	return out
}

// InOrder reports whether ranges are valid, in order, and do not overlap.
func InOrder(ranges []Range) bool {
	next := int64(0)
	for _, r := range ranges {
		if !r.Valid() || r.First < next {
			return false
		}
		next = r.Last + 1
	}
	return true
}

// Subtract returns what is in a and not in b. Both are unions.
func Subtract(a, b []Range) []Range {
	out := []Range{}
	for _, r := range a {
		for len(b) > 0 && b[0].Last < r.First {
			b = b[1:]
		}
		for _, cut := range b {
			if cut.First > r.Last || r.First > r.Last {
				break
			}
			if cut.First > r.First {
				out = append(out, Range{First: r.First, Last: cut.First - 1})
			}
			r.First = cut.Last + 1
		}
		if r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// Between returns what of a union is in [first, end).
func Between(ranges []Range, first, end int64) []Range {
	out := []Range{}
	for _, r := range ranges {
		if r = (Range{max(r.First, first), min(r.Last, end-1)}); r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// Contains reports whether an offset is in a union.
func Contains(ranges []Range, offset int64) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= offset })
	return i < len(ranges) && ranges[i].First <= offset
}

// End returns the offset behind the last of a union; 0 if there is none.
func End(ranges []Range) int64 {
	if len(ranges) == 0 {
		return 0
	}
	return ranges[len(ranges)-1].Last + 1
}
