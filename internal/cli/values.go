package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// KeyValues is a flag that may be given several times, KEY=VALUE each.
type KeyValues map[string]string

// String is empty: there is no default.
func (kv KeyValues) String() string { return "" }

// Set adds one KEY=VALUE.
func (kv KeyValues) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if key = strings.TrimSpace(key); !ok || key == "" {
		return fmt.Errorf("%q is not KEY=VALUE", s)
	}
	kv[key] = strings.TrimSpace(value)
	return nil
}

// List is a flag for values with commas between them. A command takes it once: see parse.
type List string

// String is the list as it was given.
func (l *List) String() string { return string(*l) }

// Set takes the place of what was there.
func (l *List) Set(s string) error {
	*l = List(s)
	return nil
}

// IsList tells it from the flags that have one value.
func (*List) IsList() {}

// Age is a flag for a time of at least an hour, such as 30d or 36h.
type Age time.Duration

// String is in days where that loses nothing, and empty for 0.
func (a Age) String() string {
	switch d := time.Duration(a); {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	default:
		return d.String()
	}
}

const day = 24 * time.Hour

// Set reads an age.
func (a *Age) Set(s string) error {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * float64(day))
	}
	if err != nil || d < time.Hour {
		return errors.New("it must be a time of at least 1h, such as 30d or 36h")
	}
	*a = Age(d)
	return nil
}

// Bytes is a flag for a size: a bare number is bytes, and KiB, MiB, GiB, TiB, kB, MB,
// GB and TB are understood, in any case and with a fraction, such as 64MiB or 1.5GB.
type Bytes int64

// units are the powers of 1024 and of 1000, largest first.
var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
}

// String is the shortest form that loses nothing.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && int64(b)%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Set reads a size.
func (b *Bytes) Set(s string) error {
	number, size := strings.ToLower(strings.TrimSpace(s)), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, strings.ToLower(u.name)); ok {
			number, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/size {
		*b = Bytes(n * size)
		return nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if n := f * float64(size); err == nil && size > 1 && n >= 0 && n < math.MaxInt64 {
		*b = Bytes(n)
		return nil
	}
	return errors.New("it must be a size such as 64MiB, or a number of bytes")
}

// Count is a number of things, in words.
func Count[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// ByteCount is a number of bytes for people.
func ByteCount(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n), -1
	for ; value >= unit && i < 3; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGT"[i])
}
