package kafka_test

import (
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/runners/javaharness"
	"facestream/scripts/stack/services"
	"facestream/scripts/stack/services/testservices"
)

func TestMain(m *testing.M) {
	// A runner starts the test program as the Java harness's launcher.
	if javaharness.Wanted() {
		if err := javaharness.Main(os.Args[1:]); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	beam.Init()
	os.Exit(testservices.Main(m.Run))
}

// realBroker returns the address of a real Kafka.
func realBroker(t *testing.T) string {
	t.Helper()
	return testservices.Start(t, services.Options{Kafka: true}).Kafka
}
