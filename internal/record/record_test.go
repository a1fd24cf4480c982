package record

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// The functions on ranges do what sets of offsets do, for all sets of a few offsets.
func TestRangesAreSets(t *testing.T) {
	const offsets = 6
	set := func(bits int) (ranges []Range) {
		for o := range int64(offsets) {
			if bits>>o&1 == 1 {
				ranges = append(ranges, Range{o, o})
			}
		}
		return Union(ranges)
	}
	bitsOf := func(ranges []Range) (bits int) {
		if !InOrder(ranges) {
			t.Fatalf("%v is not in order", ranges)
		}
		for i, r := range ranges {
			if i > 0 && r.First == ranges[i-1].Last+1 {
				t.Fatalf("%v could be fewer", ranges)
			}
			for o := r.First; o <= r.Last; o++ {
				bits |= 1 << o
			}
		}
		return bits
	}
	for a := range 1 << offsets {
		as := set(a)
		n, end := int64(0), int64(0)
		for o := range int64(offsets) {
			in := a>>o&1 == 1
			if Contains(as, o) != in {
				t.Errorf("%v contains %d: %v", as, o, !in)
			}
			if in {
				n, end = n+1, o+1
			}
		}
		if Count(as) != n || End(as) != end || bitsOf(as) != a {
			t.Errorf("%v has %d offsets and ends at %d, want %d and %d", as, Count(as), End(as), n, end)
		}
		if got := Between(as, 2, 5); bitsOf(got) != a&0b11100 {
			t.Errorf("of %v, %v are from 2 to 4", as, got)
		}
		for b := range 1 << offsets {
			bs := set(b)
			if got := Subtract(as, bs); bitsOf(got) != a&^b {
				t.Errorf("%v without %v: got %v", as, bs, got)
			}
			for _, got := range [][]Range{Union(slices.Concat(bs, as)), Merge(as, bs)} {
				if bitsOf(got) != a|b || got == nil { // which JSON would have as null
					t.Errorf("%v with %v: got %v", as, bs, got)
				}
			}
		}
	}
	wrong := []Range{{-1, 3}, {5, 4}, {7, math.MaxInt64}}
	if got := Union(append(wrong, Range{1, 2})); !reflect.DeepEqual(got, []Range{{1, 2}}) {
		t.Errorf("with ranges that are none: %v", got)
	}
	for _, ranges := range [][]Range{wrong[:1], wrong[1:2], wrong[2:], {{3, 4}, {1, 2}}, {{1, 3}, {3, 4}}} {
		if InOrder(ranges) {
			t.Errorf("%v is in order", ranges)
		}
	}
}

// Embedded, an ID is as three fields to JSON, where it stands in the struct.
func TestText(t *testing.T) {
	id := In("frames", 2).At(77)
	for got, want := range map[string]string{
		id.String():                "offset 77 of partition 2 of topic frames",
		fmt.Sprint(id.Range()):     "offset 77",
		fmt.Sprint(Range{77, 78}):  "offsets 77 to 78",
		id.TopicPartition.String(): "partition 2 of topic frames",
		jsonOf(t, struct {
			A int
			ID
			Z int
		}{1, id, 2}): `{"A":1,"topic":"frames","partition":2,"offset":77,"Z":2}`,
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCompare(t *testing.T) {
	want := []ID{In("a", 9).At(9), In("b", 1).At(9), In("b", 2).At(3), In("b", 2).At(4)}
	for i, a := range want {
		for j, b := range want {
			if got := a.Compare(b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%v to %v: %d", a, b, got)
			}
		}
	}
}

func TestIoU(t *testing.T) {
	for _, tc := range []struct {
		a, b Box
		want float64
	}{
		{Box{10, 20, 30, 40}, Box{10, 20, 30, 40}, 1},
		{Box{0, 0, 30, 10}, Box{10, 0, 30, 10}, 0.5},
		{Box{0, 0, 10, 10}, Box{0, 5, 10, 10}, 1. / 3},
		{Box{0, 0, 20, 20}, Box{5, 5, 10, 10}, 0.25},
		{Box{0, 0, 10, 10}, Box{10, 0, 10, 10}, 0},
		{Box{0, 0, 10, 10}, Box{50, 50, 10, 10}, 0},
		{Box{Width: 16384, Height: 16384}, Box{Width: 16384, Height: 8192}, 0.5}, // whose areas exceed 32 bits
		{Box{}, Box{}, 0},
	} {
		for _, got := range []float64{tc.a.IoU(tc.b), tc.b.IoU(tc.a)} {
			if got != tc.want {
				t.Errorf("%v and %v: %v, want %v", tc.a, tc.b, got, tc.want)
			}
		}
	}
}

func TestDated(t *testing.T) {
	for at, want := range map[string]bool{"1999-12-31T23:59:59.999Z": false, "2000-01-01T00:00:00Z": true, "2100-12-31T23:59:59.999Z": true, "2101-01-01T00:00:00Z": false} {
		if time, err := time.Parse(time.RFC3339, at); err != nil || Dated(time.UnixMilli()) != want {
			t.Errorf("%s is dated: %v (%v)", at, !want, err)
		}
	}
}
