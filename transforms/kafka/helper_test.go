package kafka_test

import (
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/runners/javaharness"
)

func TestMain(m *testing.M) {
	if javaharness.Wanted() {
		panic(javaharness.Main(os.Args[1:]))
	}
	beam.Init()
	os.Exit(m.Run())
}

func testBroker(t *testing.T) string {
	return "127.0.0.1:29092"
}
