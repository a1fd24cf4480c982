// Package testkit is what tests of several packages need.
package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"facestream/internal/proc"
	"facestream/internal/record"
	"facestream/internal/rest"
	"facestream/internal/wait"
)

// All reports whether tests do everything that they can, as in make test-all.
func All() bool { return os.Getenv("FACESTREAM_ALL_FAULTS") != "" }

// OnlyInAll leaves a test to make test-all which starts too much for make test.
func OnlyInAll(t testing.TB) {
	t.Helper()
	if !All() {
		t.Skip("a part of make test-all")
	}
}

// NotShort leaves a test out under -short.
func NotShort(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip(why)
	}
}

// Quick are flags of runs that find the faces of the demo in a tenth of the time.
var Quick = slices.Clip([]string{"--min_face=80", "--scale_factor=1.2"})

// patience is for what a busy machine does late. It is no limit for what is tested.
const patience = 2 * time.Minute

// Await returns when the condition holds, and fails the test if it never does.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := wait.Until(ctx, 20*time.Millisecond, holds); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// Must fails the test with an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Says checks that an error of what was done says all of these. Nothing to be said stands
// for no error.
func Says(t testing.TB, what string, err error, want ...string) {
	t.Helper()
	for _, part := range want {
		if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, want one with %q", what, err, part)
		}
	}
}

// Equal checks a value. A list without elements may be nil.
func Equal[T any](t testing.TB, what any, got, want T) {
	t.Helper()
	switch g := reflect.ValueOf(got); {
	case reflect.DeepEqual(got, want):
	case (g.Kind() == reflect.Slice || g.Kind() == reflect.Map) && g.Len()+reflect.ValueOf(want).Len() == 0:
	default:
		t.Errorf("%v: got %s, want %s", what, shown(got), shown(want))
	}
}

// shown is a value in a message, which the bytes of a picture must not fill.
func shown(v any) string {
	text := fmt.Sprintf("%+v", v)
	if data, ok := v.([]byte); ok {
		text = fmt.Sprintf("%d bytes, %q", len(data), data[:min(len(data), 100)])
	}
	return text[:min(len(text), 10_000)]
}

// Gives checks what a call returned, of which an error is none:
//
//	testkit.Gives(offsets.Lag(ctx))(t, "the lag", 6)
func Gives[T any](got T, err error) func(t testing.TB, what any, want T) {
	return func(t testing.TB, what any, want T) {
		t.Helper()
		if err != nil {
			t.Errorf("%v: %v, want %s", what, err, shown(want))
			return
		}
		Equal(t, what, got, want)
	}
}

// Is checks which error came of what was done. No error stands for nil.
func Is(t testing.TB, what any, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v: error %v, want %v", what, err, want)
	}
}

// Contains checks that a text has all of these.
func Contains(t testing.TB, what any, text string, want ...string) {
	t.Helper()
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%v: %q is missing in %.3000q", what, part, text)
		}
	}
}

// Value returns what a call returned, or fails the test with its error:
//
//	demo := testkit.Value(video.NewDemo(3))(t)
func Value[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		Must(t, err)
		return value
	}
}

// GetJSON decodes what a URL answers.
func GetJSON(t testing.TB, url string, to any) {
	t.Helper()
	Must(t, rest.Get(t.Context(), url, to))
}

// ReadFile returns what a file holds.
func ReadFile(t testing.TB, path string) []byte {
	t.Helper()
	return Value(os.ReadFile(path))(t)
}

// WriteFile makes or replaces a file, and makes its folder if there is none.
func WriteFile(t testing.TB, path string, data []byte) {
	t.Helper()
	Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	Must(t, os.WriteFile(path, data, 0o644))
}

// Output runs a command, which must do, and returns what it says.
func Output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// Processes returns those of this machine that fit.
func Processes(t testing.TB, fits func(proc.Running) bool) []proc.Running {
	t.Helper()
	var out []proc.Running
	for _, p := range Value(proc.All())(t) {
		if fits(p) {
			out = append(out, p)
		}
	}
	return out
}

// Listeners returns where a process listens, in a network namespace of its own, too.
func Listeners(t testing.TB, pid int) (addrs []netip.AddrPort) {
	t.Helper()
	p, err := procfs.NewProc(pid)
	Must(t, err)
	kernel, err := procfs.NewFS(fmt.Sprint("/proc/", pid)) // its net
	Must(t, err)
	open, err := p.FileDescriptorTargets()
	Must(t, err)
	const listening = 10 // include/net/tcp_states.h
	//lint:ignore SA1019 a table of sockets is all that a test needs
	four, err := kernel.NetTCP()
	Must(t, err)
	//lint:ignore SA1019 likewise
	six, err := kernel.NetTCP6()
	Must(t, err)
	for _, socket := range slices.Concat(four, six) {
		if socket.St == listening && slices.Contains(open, fmt.Sprintf("socket:[%d]", socket.Inode)) {
			ip, _ := netip.AddrFromSlice(socket.LocalAddr)
			addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(socket.LocalPort)))
		}
	}
	return addrs
}

// MustListenOnLoopback checks that services listen, and on addresses of the loopback only.
func MustListenOnLoopback(t testing.TB, services []proc.Process) {
	t.Helper()
	for _, p := range services {
		if strings.HasSuffix(p.Name, "-jobserver") {
			continue // Beam listens everywhere
		}
		at := Listeners(t, p.PID)
		if len(at) == 0 || slices.ContainsFunc(at, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() }) {
			t.Errorf("%s listens on %v", p.Name, at)
		}
	}
}

// Ranges returns ranges of the first and the last offset of each, in turn.
func Ranges(offsets ...int64) []record.Range {
	ranges := make([]record.Range, len(offsets)/2)
	for i := range ranges {
		ranges[i] = record.Range{First: offsets[2*i], Last: offsets[2*i+1]}
	}
	return ranges
}
