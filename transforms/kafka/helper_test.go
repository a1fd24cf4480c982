package kafka_test

import (
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
)

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(testservices.Main(m.Run))
}

// realBroker returns the address of a real Kafka.
func realBroker(t *testing.T) string {
	t.Helper()
	return testservices.Start(t, services.Options{Kafka: true}).Kafka
}
