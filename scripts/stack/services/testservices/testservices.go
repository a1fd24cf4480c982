// Package testservices gives the tests of a package real services: started by
// the first test that needs them, shared by all, and ended by Main.
package testservices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"facestream/scripts/stack/services"
	"facestream/scripts/stack/state"
)

var shared struct {
	once  sync.Once
	dir   string
	stack *services.Stack
	err   error
}

// Main runs a package's tests, m.Run or what stands for it, ends the services,
// and returns the exit status. Call it in TestMain.
func Main(run func() int) (status int) {
	status = run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the tests' services:", err)
		status = 1
	}
	return status
}

// Start returns the addresses of the services that the package's tests need,
// the same ones in each test. It skips the test under -short.
func Start(t testing.TB, o services.Options) state.Addrs {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real services, which take seconds to start")
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "facestream-test-"); shared.err == nil {
			shared.stack, shared.err = services.Start(context.Background(), shared.dir, o)
		}
	})
	if shared.err != nil {
		t.Fatal("starting the tests' services: ", shared.err)
	}
	return shared.stack.Addrs
}

func stop() error {
	var err error
	if shared.stack != nil {
		err = shared.stack.Stop()
	}
	if shared.dir != "" {
		err = errors.Join(err, os.RemoveAll(shared.dir))
	}
	return err
}
