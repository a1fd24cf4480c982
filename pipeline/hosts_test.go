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

// Kafka, HDFS, the masters of Flink, Spark and YARN, and two workers of each are on five hosts,
// and the driver on a sixth: nobody finds another one at an address of the loopback. In make
// test, one engine has each reader, and YARN has none.
func TestSeveralHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters")
	}
	hosts, of := newHosts(t, 5), map[string]string{}
	for i, names := range [][]string{
		{"kafka"}, {"namenode", "datanode"}, {"jobmanager", "flink-jobserver", "spark-master", "spark-jobserver", "resourcemanager"},
		{"taskmanager-1", "spark-worker-1", "nodemanager"}, {"taskmanager-2", "spark-worker-2", "nodemanager-2"},
	} {
		for _, name := range names {
			of[name] = hosts[i]
		}
	}
	all := testkit.All()
	stack := testservices.Own(t, services.Options{Kafka: true, HDFS: true, Flink: true, Spark: true, YARN: all, NodeManagers: 2, Hosts: of})
	const topic = "hosts"
	sent := sendDemo(t, stack.Kafka, topic, feed.JPEG, 0, 40)
	masters := map[string][]string{
		"flink": {"--runner=flink", "--master=" + strings.TrimPrefix(stack.FlinkWeb, "http://")},
		"spark": {"--runner=spark", "--master=" + stack.SparkMaster},
	}
	if all {
		t.Setenv("HADOOP_CONF_DIR", stack.YARNConfig())
		testkit.Value(stack.FlinkOnYARN(t.Context()))(t)
		masters["flink-yarn"] = []string{"--runner=flink", "--master=" + runners.YARN}
		masters["spark-yarn"] = []string{"--runner=spark", "--master=" + runners.YARN}
	}
	for name, flags := range masters {
		for _, reader := range kafka.Readers {
			if once := (name == "flink") == (reader == kafka.Native); !once && !all {
				continue
			}
			t.Run(name+"-"+reader, func(t *testing.T) {
				dir := "/user/erin/" + name + "-" + reader
				runBuilt(t, Build, optionsFor(t, slices.Concat(testkit.Quick, flags, []string{"--parallelism=2", "--reader=" + reader,
					"--kafka=" + stack.Kafka, "--topics=" + topic, "--group=" + name + reader, "--user=erin", "--output=" + stack.HDFS + dir, "--drain"})...))
				got := names(pictures(t, hdfsFiles(t, stack.HDFS, dir), "erin"))
				if !slices.Equal(got, withFaces(sent)) {
					t.Errorf("pictures of %v, want of %v", got, withFaces(sent))
				}
			})
		}
	}
	for _, p := range stack.Processes() {
		if strings.HasPrefix(p.Name, "nodemanager") || p.Name == "resourcemanager" {
			for _, at := range testkit.Listeners(t, p.PID) {
				if at.Addr().String() != of[p.Name] {
					t.Errorf("%s listens on %s, want %s only", p.Name, at, of[p.Name])
				}
			}
		}
	}
}
