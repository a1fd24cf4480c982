package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/kafka"
)

// newHosts makes network namespaces, hosts on one network with this one, which end with
// the test. It returns their addresses, which are their names, too.
func newHosts(t *testing.T, n int) (addrs []string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make network namespaces")
	}
	id := os.Getpid() % (1 << 14)
	bridge, network := fmt.Sprint("fs-", id), fmt.Sprintf("10.%d.%d.", 64+id>>8, id&0xff)
	ip := func(lines ...string) error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	undo := []string{"link del " + bridge}
	t.Cleanup(func() {
		if err := ip(undo...); err != nil {
			t.Error(err)
		}
	})
	testkit.Must(t, ip("link add "+bridge+" type bridge", "addr add "+network+"254/24 dev "+bridge, "link set "+bridge+" up"))
	for i := range n {
		at, cable := network+fmt.Sprint(i+1), fmt.Sprint(bridge, "-", i)
		testkit.Must(t, ip("netns add "+at))
		undo, addrs = append(undo, "netns del "+at), append(addrs, at)
		testkit.Must(t, ip("link add "+cable+" master "+bridge+" type veth peer name eth0 netns "+at, "link set "+cable+" up"))
		for _, line := range []string{"addr add " + at + "/24 dev eth0", "link set eth0 up", "link set lo up"} {
			testkit.Must(t, exec.Command("ip", append([]string{"-n", at}, strings.Fields(line)...)...).Run())
		}
	}
	return addrs
}

// Kafka, HDFS, the masters of Flink and Spark, and two workers of each are on five hosts,
// and the driver on a sixth: nobody finds another one at an address of the loopback. In make
// test, one engine has each reader.
func TestSeveralHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters")
	}
	hosts, of := newHosts(t, 5), map[string]string{}
	for i, names := range [][]string{
		{"kafka"}, {"namenode", "datanode"}, {"jobmanager", "flink-jobserver", "spark-master", "spark-jobserver"},
		{"taskmanager-1", "spark-worker-1"}, {"taskmanager-2", "spark-worker-2"},
	} {
		for _, name := range names {
			of[name] = hosts[i]
		}
	}
	stack := testservices.Own(t, services.Options{Kafka: true, HDFS: true, Flink: true, Spark: true, Hosts: of})
	const topic = "hosts"
	sent := sendDemo(t, stack.Kafka, topic, feed.JPEG, 0, 40)
	masters := map[string]string{runners.Flink: strings.TrimPrefix(stack.FlinkWeb, "http://"), runners.Spark: stack.SparkMaster}
	for runner, master := range masters {
		for _, reader := range kafka.Readers {
			if once := (runner == runners.Flink) == (reader == kafka.Native); !once && !testkit.All() {
				continue
			}
			t.Run(runner+"-"+reader, func(t *testing.T) {
				dir := "/user/erin/" + runner + "-" + reader
				runBuilt(t, Build, optionsFor(t, append(testkit.Quick, "--runner="+runner, "--master="+master, "--parallelism=2", "--reader="+reader,
					"--kafka="+stack.Kafka, "--topics="+topic, "--group="+runner+reader, "--user=erin", "--output="+stack.HDFS+dir, "--drain")...))
				got := names(pictures(t, hdfsFiles(t, stack.HDFS, dir), "erin"))
				if !slices.Equal(got, withFaces(sent)) {
					t.Errorf("pictures of %v, want of %v", got, withFaces(sent))
				}
			})
		}
	}
}
