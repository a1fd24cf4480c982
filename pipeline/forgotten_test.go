package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/camera/feed"
	"facestream/internal/run"
	"facestream/internal/testkit"
)

// Case 22: Kafka forgets what a group has committed, and removes records. The next run
// goes on where the ledgers end: no event is lost or there twice, and verify agrees.
func TestForgottenOffsets(t *testing.T) {
	addrs := realServices(t)
	const topic, dir, first, total = "forgotten", "/user/mallory/forgotten", 40, 52 // frames
	_, admin := kafkaClient(t, addrs.Kafka)
	endpoints := []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic, "--user=mallory", "--output=" + addrs.HDFS + dir}
	runAgain := func() string {
		t.Helper()
		var out strings.Builder
		o := optionsFor(t, append(endpoints, "--runner=direct", "--drain", "--min_face=100", "--scale_factor=1.3")...)
		_, err := run.Run(t.Context(), o, Build, t.TempDir(), &out)
		testkit.Must(t, err)
		return out.String()
	}
	// events returns how often each event is there, and checks that verify agrees.
	events := func() map[string]int {
		t.Helper()
		var said strings.Builder
		if status := program().Main(t.Context(), append([]string{"verify"}, endpoints...), &said, &said); status != 0 {
			t.Errorf("verify: exit status %d\n%s", status, said.String())
		}
		lines := map[string]int{}
		for name, f := range hdfsFiles(t, addrs.HDFS, dir) {
			if strings.HasPrefix(name, "_events/") {
				for line := range strings.Lines(string(f.data)) {
					lines[line]++
				}
			}
		}
		return lines
	}
	// forget deletes the offsets of some partitions, and records up to an offset.
	forget := func(partitions []int32, before int64) {
		t.Helper()
		offsets, records := kadm.TopicsSet{}, kadm.Offsets{}
		for _, p := range partitions {
			offsets.Add(topic, p)
			records.AddOffset(topic, p, before, -1)
		}
		_, err := admin.DeleteOffsets(t.Context(), topic, offsets)
		testkit.Must(t, err)
		_, err = admin.DeleteRecords(t.Context(), records)
		testkit.Must(t, err)
	}
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, first)
	runAgain()
	want := events()
	if len(want) == 0 {
		t.Fatal("there are no events")
	}
	same := func(what string) {
		t.Helper()
		if got := events(); !maps.Equal(got, want) {
			t.Errorf("%s: %d events are there, %d should be", what, len(got), len(want))
		}
	}

	all := []int32{0, 1, 2, 3}
	forget(all, 5)
	if out := runAgain(); !strings.Contains(out, "where the ledgers end") {
		t.Errorf("the run does not say where it goes on:\n%s", out)
	}
	same("all offsets and half of the records are gone")

	forget([]int32{2}, first/4)
	runAgain()
	same("a partition is empty, and its offset gone")

	// What is new is read, and only that.
	forget(all, 0)
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, first, total)
	runAgain()
	got := events()
	for line, n := range got {
		if n != 1 {
			t.Errorf("%d times: %s", n, line)
		}
	}
	for line := range want {
		if got[line] == 0 {
			t.Errorf("gone: %s", line)
		}
	}
	if len(got) <= len(want) {
		t.Errorf("%d events after more frames, %d before", len(got), len(want))
	}
}
