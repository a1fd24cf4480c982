package kafka_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/runners/javaharness"
	"facestream/scripts/stack/services"
)

// The tests' broker is started by the first test that needs it.
var stack struct {
	once     sync.Once
	dir      string
	services *services.Stack
	err      error
}

func TestMain(m *testing.M) {
	// A runner starts the test program as the Java harness's launcher.
	if javaharness.Wanted() {
		panic(javaharness.Main(os.Args[1:]))
	}
	beam.Init()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) (code int) {
	var err error
	if stack.dir, err = os.MkdirTemp("", "facestream-test-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(stack.dir)
	code = m.Run()
	if stack.services != nil {
		if err := stack.services.Stop(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	return code
}

// realBroker returns the address of a real Kafka.
func realBroker(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Kafka")
	}
	stack.once.Do(func() {
		stack.services, stack.err = services.Start(context.Background(), stack.dir, services.Options{Kafka: true})
	})
	if stack.err != nil {
		t.Fatal(stack.err)
	}
	return stack.services.Kafka
}
