package testservices

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(Main(m.Run)) }

// What runs in the stack of all packages is not started, and clusters are one test's.
func TestStartSharesStack(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(stateEnv, dir)
	self, err := proc.NewProcess("test", os.Getpid(), "")
	testkit.Must(t, err)
	want := state.Addrs{Kafka: "127.0.0.1:1", Flink: "127.0.0.1:2", FlinkWeb: "http://127.0.0.1:3"}
	running := func(name string) state.Service {
		return state.Service{Addrs: want.Of(name), Ready: true, Processes: []proc.Process{self}}
	}
	testkit.Must(t, (state.Stack{state.Kafka: running(state.Kafka), state.Flink: running(state.Flink)}).Save(state.Dir(dir)))
	free := func() bool {
		lock, err := os.Open(filepath.Join(dir, "clusters.lock"))
		testkit.Must(t, err)
		defer lock.Close()
		return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	}
	t.Run("user", func(t *testing.T) {
		testkit.Equal(t, "the addresses", Start(t, services.Options{Kafka: true, Flink: true}), want)
		t.Run("within", func(t *testing.T) { Start(t, services.Options{Flink: true}) })
		if free() {
			t.Error("another package can have Flink at the same time")
		}
	})
	if testing.Short() {
		t.SkipNow() // as the subtest was
	}
	if !free() {
		t.Error("no other package can have Flink after the test")
	}
	shared.addrs = state.Addrs{}
}
