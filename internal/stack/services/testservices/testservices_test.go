package testservices

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"facestream/internal/proc"

	"facestream/internal/stack/services"
)

// Nothing is left of a test's own services, even of one that was stopped.
func TestOwn(t *testing.T) {
	var p proc.Process
	t.Run("user", func(t *testing.T) {
		var ok bool
		if p, ok = Own(t, services.Options{Kafka: true}).Process("kafka"); !ok || !p.Alive() {
			t.Fatalf("the broker does not run: %+v", p)
		}
		if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	})
	if p.PID == 0 {
		t.SkipNow() // as the subtest was
	}
	if p.Alive() {
		t.Error("the broker outlives the test that it was for")
	}
	if _, err := os.Stat(p.Log); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its log is still there: %v", err)
	}
}
