package kafka

import (
	"strings"
	"testing"
)

func TestCheckConsumerSettings(t *testing.T) {
	for _, tc := range []struct {
		key, value string
		reason     string // empty: allowed
	}{
		{"fetch.max.bytes", "10485760", ""},
		{"enable.auto.commit", "false", ""},
		{"auto.offset.reset", "earliest", ""},
		{"isolation.level", "read_committed", ""},
		{"isolation.level", "read_uncommitted", ""},
		{"isolation.level", "committed", "read_committed"},
		{"enable.auto.commit", "true", "before"},
		{"auto.offset.reset", "latest", "none is skipped"},
		{"auto.offset.reset", "none", "none is skipped"},
		{"sasl.login.class", "x.Y", "class"},
		{"sasl.client.callback.handler.class", "x.Y", "class"},
		{"interceptor.classes", "x.Y", "class"},
		{"value.deserializer", "x.Y", "class"},
		{"sasl.oauthbearer.token.endpoint.url", "http://localhost/", "URL"},
		{"sasl.oauthbearer.jwks.endpoint.url", "file:/etc/passwd", "URL"},
		{"bootstrap.servers", "localhost:9092", "--kafka"},
		{"group.id", "x", "--group"},
		{"fetch.max.byte", "1", "allow-list"},
	} {
		err := CheckConsumerSettings(map[string]string{tc.key: tc.value})
		if (err == nil) != (tc.reason == "") || err != nil && (!strings.Contains(err.Error(), tc.key) || !strings.Contains(err.Error(), tc.reason)) {
			t.Errorf("%s=%s: error %v, want one with the setting and %q, or none", tc.key, tc.value, err, tc.reason)
		}
	}
}
