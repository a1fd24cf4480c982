package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
