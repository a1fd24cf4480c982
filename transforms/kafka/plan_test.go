package kafka

import "testing"

func TestFit(t *testing.T) {
	repeat := func(n int, size int64) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = size
		}
		return out
	}
	for name, tc := range map[string]struct {
		partitions []*sizes
		max, want  int64
	}{
		"nothing waiting":                     {nil, 100, 0},
		"all fit":                             {[]*sizes{{each: repeat(5, 10)}}, 100, 5},
		"exactly full":                        {[]*sizes{{each: repeat(20, 10)}}, 100, 10},
		"one too large is read alone":         {[]*sizes{{each: repeat(3, 1000)}}, 100, 1},
		"any partition may fill the window":   {[]*sizes{{each: repeat(50, 1)}, {each: repeat(50, 10)}}, 100, 10},
		"small ones first, then large ones":   {[]*sizes{{each: append(repeat(50, 1), repeat(50, 25)...)}}, 100, 52},
		"large ones behind the reach":         {[]*sizes{{each: repeat(200, 1)}, {each: append(repeat(60, 1), 1000)}}, 100, 60},
		"unseen count as the largest seen":    {[]*sizes{{each: repeat(2, 10), unseen: 1000}}, 100, 10},
		"unseen ones beside small ones":       {[]*sizes{{each: []int64{50, 1, 1}, unseen: 5}}, 101, 3},
		"never more than one reader may read": {[]*sizes{{each: repeat(20_000, 1)}}, 1 << 40, 9_999},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fit(tc.partitions, tc.max); got != tc.want {
				t.Errorf("fit = %d records, want %d", got, tc.want)
			}
		})
	}
}
