package kafka

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumerSettings are the settings of Kafka's consumer that a user may give.
// Everything else is refused: some settings would lose records (offsets
// committed before the pictures are stored), some load classes or fetch URLs
// inside the worker's JVM.
var consumerSettings = []string{
	"check.crcs",
	"client.dns.lookup",
	"client.id",
	"client.rack",
	"connections.max.idle.ms",
	"default.api.timeout.ms",
	"fetch.max.bytes",
	"fetch.max.wait.ms",
	"fetch.min.bytes",
	"max.partition.fetch.bytes",
	"max.poll.records",
	"metadata.max.age.ms",
	"receive.buffer.bytes",
	"reconnect.backoff.max.ms",
	"reconnect.backoff.ms",
	"request.timeout.ms",
	"retry.backoff.max.ms",
	"retry.backoff.ms",
	"send.buffer.bytes",
	"socket.connection.setup.timeout.max.ms",
	"socket.connection.setup.timeout.ms",
}

const (
	isolationLevel  = "isolation.level"
	readUncommitted = "read_uncommitted"
)

// ReadsUncommitted reports whether consumer settings ask for records of transactions
// that were aborted or are still open.
func ReadsUncommitted(settings map[string]string) bool {
	return settings[isolationLevel] == readUncommitted
}

// fixedSettings are set by Read, with the reason why nothing else will do.
var fixedSettings = map[string]struct{ value, reason string }{
	"enable.auto.commit": {"false", "offsets are committed after a window's pictures are stored, never before"},
	"auto.offset.reset":  {"earliest", "a group without offsets starts at the first record, so that none is skipped"},
}

// CheckConsumerSettings refuses consumer settings that are not on the
// allow-list, with the reason.
func CheckConsumerSettings(settings map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if fixed, ok := fixedSettings[key]; ok {
			if settings[key] != fixed.value {
				return fmt.Errorf("consumer setting %s=%s: it must be %s, because %s", key, settings[key], fixed.value, fixed.reason)
			}
			continue
		}
		if slices.Contains(consumerSettings, key) || key == isolationLevel && slices.Contains([]string{"read_committed", readUncommitted}, settings[key]) {
			continue
		}
		reason := "it is not on the allow-list: " + strings.Join(consumerSettings, ", ")
		switch {
		case key == isolationLevel:
			reason = "it must be read_committed, which is the default, or " + readUncommitted
		case key == "bootstrap.servers" || key == "group.id":
			reason = "it has a flag of its own (--kafka, --group)"
		case strings.HasSuffix(key, ".class") || strings.HasSuffix(key, ".classes") || strings.HasSuffix(key, "deserializer"):
			reason = "it would load a class into the worker's JVM"
		case strings.HasPrefix(key, "sasl.oauthbearer"):
			reason = "it would make the worker fetch a URL or a file"
		}
		return fmt.Errorf("consumer setting %s: %s", key, reason)
	}
	return nil
}

// CheckNativeSettings also refuses those that ReadNative has no use for.
func CheckNativeSettings(settings map[string]string) error {
	err := CheckConsumerSettings(settings)
	if err == nil {
		_, _, err = nativeSettings(settings)
	}
	return err
}

// nativeSettings reads the settings for the client in Go.
func nativeSettings(settings map[string]string) (opts []kgo.Opt, f fetching, err error) {
	f = defaultFetching
	millis := func(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
	numbers := map[string]func(n int32){
		"connections.max.idle.ms":            func(n int32) { opts = append(opts, kgo.ConnIdleTimeout(millis(n))) },
		"fetch.max.bytes":                    func(n int32) { f.bytes = n },
		"fetch.max.wait.ms":                  func(n int32) { f.waitMillis = n },
		"fetch.min.bytes":                    func(n int32) { f.minBytes = n },
		"max.partition.fetch.bytes":          func(n int32) { f.partitionBytes = n },
		"socket.connection.setup.timeout.ms": func(n int32) { opts = append(opts, kgo.DialTimeout(millis(n))) },
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		set, isNumber := numbers[key]
		_, isFixed := fixedSettings[key]
		switch {
		case isFixed || key == isolationLevel:
		case key == "client.id":
			opts = append(opts, kgo.ClientID(settings[key]))
		case !isNumber:
			return nil, f, fmt.Errorf("consumer setting %s: the native reader has no use for it; it takes client.id, %s, %s", key, isolationLevel, strings.Join(slices.Sorted(maps.Keys(numbers)), ", "))
		default:
			n, err := strconv.ParseInt(settings[key], 10, 32)
			if err != nil || n < 1 {
				return nil, f, fmt.Errorf("consumer setting %s=%s: it must be a number from 1 to %d", key, settings[key], math.MaxInt32)
			}
			set(int32(n))
		}
	}
	return opts, f, nil
}
