package runners_test

import (
	"testing"

	"facestream/runners"
)

// clusters are the engines that have clusters.
var clusters = []string{runners.Flink, runners.Spark}

// Without an endpoint, the runner brings a job server and a cluster of its own.
func TestLocalCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts job servers")
	}
	for _, name := range clusters {
		t.Run(name, func(t *testing.T) {
			r := open(t, runners.Config{Name: name, Parallelism: 2})
			testRunFails(t, r)
			testRunIsCancelled(t, r)
		})
	}
}
