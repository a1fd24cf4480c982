// Package testservices gives the tests of a package real services: each started
// by the first test that needs it, shared by all, and ended by Main; or, for a
// test that does harm to them, its own.
package testservices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"facestream/internal/stack/services"
	"facestream/internal/stack/state"
)

var shared struct {
	mu     sync.Mutex
	dir    string
	stacks []*services.Stack // of which each holds other services
	addrs  state.Addrs       // of all of them
	err    error
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

// Start returns the addresses of the services that the test needs, and maybe of
// others; a service has the same one in each test. Of o, only the names of
// services count. It skips the test under -short.
func Start(t testing.TB, o services.Options) state.Addrs {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real services, which take seconds to start")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.err == nil {
		shared.err = start(o)
	}
	if shared.err != nil {
		t.Fatal("starting the tests' services: ", shared.err)
	}
	return shared.addrs
}

// Own returns a stack that is the test's own, to do with as it likes: it ends
// with the test, and nothing is left of it. It skips the test under -short.
func Own(t testing.TB, o services.Options) *services.Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real services, which take seconds to start")
	}
	dir, err := os.MkdirTemp("", "facestream-own-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error("removing the test's services: ", err)
		}
	})
	stack, err := services.Start(context.Background(), dir, o)
	if err != nil {
		t.Fatal("starting the test's services: ", err)
	}
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error("stopping the test's services: ", err)
		}
	})
	return stack
}

// start starts what o names and has not been started before.
func start(o services.Options) error {
	a := &shared.addrs
	missing := services.Options{
		Kafka: o.Kafka && a.Kafka == "",
		HDFS:  o.HDFS && a.HDFS == "",
		Flink: o.Flink && a.Flink == "",
		Spark: o.Spark && a.Spark == "",
	}
	if !missing.Kafka && !missing.HDFS && !missing.Flink && !missing.Spark {
		return nil
	}
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "facestream-test-")
		if err != nil {
			return err
		}
		shared.dir = dir
	}
	stack, err := services.Start(context.Background(), shared.dir, missing)
	if err != nil {
		return err
	}
	shared.stacks = append(shared.stacks, stack)
	if missing.Kafka {
		a.Kafka = stack.Kafka
	}
	if missing.HDFS {
		a.HDFS, a.Web = stack.HDFS, stack.Web
	}
	if missing.Flink {
		a.Flink, a.FlinkWeb = stack.Flink, stack.FlinkWeb
	}
	if missing.Spark {
		a.Spark, a.SparkWeb, a.SparkMaster = stack.Spark, stack.SparkWeb, stack.SparkMaster
	}
	return nil
}

func stop() error {
	var err error
	for _, stack := range shared.stacks {
		err = errors.Join(err, stack.Stop())
	}
	if shared.dir != "" {
		err = errors.Join(err, os.RemoveAll(shared.dir))
	}
	return err
}
