//go:build race

package kafka_test

import (
	"os"
	"testing"

	"facestream/internal/stack/services/testservices"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

// mustRead does nothing: compiling runners to look for data races takes a minute more.
func (to *topic) mustRead(*testing.T, int64, map[string]string, ...string) {}
