package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/camera/feed"
	"facestream/internal/testkit"
)

// Case 22: Kafka forgets what a group has committed, and removes records. The next run
// goes on where the ledgers end: no event is lost or there twice, and verify agrees. A topic
// that was made anew is refused.
func TestForgottenOffsets(t *testing.T) {
	t.Parallel()
	const first, total = 40, 52 // frames
	j := newJob(t, "forgotten", "mallory")
	topic := j.topic
	admin := kadm.NewClient(testkit.Kafka(t, j.Kafka))
	runAgain := func() string {
		t.Helper()
		_, said := runBuilt(t, Build, j.options(t, "--runner=direct", "--drain"))
		return said
	}
	// events returns how often each event is there, and checks that verify agrees.
	events := func() map[string]int {
		t.Helper()
		j.verify(t, "")
		lines := map[string]int{}
		for name, f := range j.files(t) {
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
		testkit.Value(admin.DeleteOffsets(t.Context(), topic, offsets))(t)
		testkit.Value(admin.DeleteRecords(t.Context(), records))(t)
	}
	sendDemo(t, j.Kafka, topic, feed.JPEG, 0, first)
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
	sendDemo(t, j.Kafka, topic, feed.JPEG, first, total)
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

	// Another topic of that name has other records at these offsets, whoever reads it.
	testkit.Value(admin.DeleteTopic(t.Context(), topic))(t)
	testkit.Await(t, "the topic, which Kafka removes later", func() bool {
		created, err := admin.CreateTopic(t.Context(), 4, 1, nil, topic)
		return err == nil && created.Err == nil
	})
	sendDemo(t, j.Kafka, topic, feed.JPEG, 0, 2*total)
	said(t, 1, "topic "+topic+" was made anew", slices.Concat([]string{"verify"}, j.endpoints())...)

	// A Kafka that was moved looks the same. Another output goes on where the group stands.
	const done = 20 // of each partition
	moved := kadm.Offsets{}
	for _, p := range all {
		moved.AddOffset(topic, p, done, -1)
	}
	testkit.Must(t, admin.CommitAllOffsets(t.Context(), j.group, moved))
	said(t, 2, "unless Kafka was moved", slices.Concat(testkit.Quick, j.endpoints(), []string{"--runner=direct", "--drain", "--state_dir=" + t.TempDir()})...)
	if s := j.run(t, "--runner=direct", "--drain", "--output="+j.HDFS+j.dir+"-moved"); s.RecordsRead != 2*total-4*done {
		t.Errorf("it has read %d records, want those behind the group's offsets", s.RecordsRead)
	}

	j.group += "-other"
	said(t, 2, "FAIL  ledgers", slices.Concat([]string{"check"}, j.endpoints(), []string{"--runner=direct"})...)
	said(t, 2, "topic "+topic+" was made anew", slices.Concat(testkit.Quick, j.endpoints(), []string{"--runner=direct", "--drain", "--state_dir=" + t.TempDir()})...)
}
