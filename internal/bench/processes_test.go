package bench

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/procfs"

	"facestream/internal/testkit"
)

// burnEnv makes the test program a process that uses some processor time and a known
// memory, prints that it has, and waits for the end of its input.
const burnEnv = "FACESTREAM_TEST_BURN"

const (
	burntSeconds = 0.2
	burntBytes   = 64 << 20
)

func burn() {
	for memory, used := make([]byte, burntBytes), 0.0; used < burntSeconds; {
		for i := range memory {
			memory[i]++
		}
		self, err := procfs.Self()
		if err != nil {
			panic(err)
		}
		stat, err := self.Stat()
		if err != nil {
			panic(err)
		}
		used = stat.CPUTime()
	}
	os.Stdout.WriteString("done\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// startBurning starts such a process below a shell, and returns when it has used what it
// uses.
func startBurning(t *testing.T, mark string) (end func()) {
	t.Helper()
	cmd := exec.Command("sh", "-c", os.Args[0]+"; exit 0")
	cmd.Env = append(os.Environ(), burnEnv+"=1", mark)
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	testkit.Must(t, errors.Join(inErr, outErr, cmd.Start()))
	testkit.Value(bufio.NewReader(out).ReadString('\n'))(t)
	return func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestMeasureUse(t *testing.T) {
	const mark = "FACESTREAM_TEST_MARK=ours"
	before := startBurning(t, mark)
	other := startBurning(t, "FACESTREAM_TEST_MARK=another's")
	defer other()
	if n := len(marked(mark)); n != 2 {
		t.Errorf("%d processes have the mark, want the shell and its child", n)
	}
	got, err := measureUse(mark, func() error { return nil })
	// The memory is still there, and what it did before does not count.
	if u := got["other"]; err != nil || u.cpu >= burntSeconds || u.peak < burntBytes/1e6 {
		t.Errorf("%+v (%v) of a process that does nothing", u, err)
	}
	before()
	failed := errors.New("failed")
	got, err = measureUse(mark, func() error {
		startBurning(t, mark)()
		return failed
	})
	if u := got["other"]; err != failed || u.peak < burntBytes/1e6 {
		t.Errorf("%+v (%v) of a process that has ended", u, err)
	}
	end := func() {}
	got, err = measureUse(mark, func() error { end = startBurning(t, mark); return nil })
	if u := got["other"]; err != nil || u.cpu < burntSeconds || u.peak < burntBytes/1e6 {
		t.Errorf("%+v (%v) of a process that runs", u, err)
	}
	end()
	testkit.Await(t, "the end of all", func() bool { return len(marked(mark)) == 0 })
}

func TestClassOf(t *testing.T) {
	for line, want := range map[string]string{
		"/x/pipeline --runner=prism":                                                                         "pipeline",
		"/x/pipeline --id=1-1 --provision_endpoint=localhost:1":                                              "go worker",
		"/x/pipeline prism-server 30001":                                                                     "prism",
		"/x/java -Xmx1g -cp /a:/a/* KeptFnHarness harness.sock 8097":                                         "java harness",
		"java -cp /a/* org.apache.beam.runners.flink.FlinkJobServerDriver --x":                               "job server",
		"java -cp /a/* org.apache.beam.runners.spark.SparkJobServerDriver --x":                               "job server",
		"java -cp /a/* org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir c": "jobmanager",
		"java -cp /a/* org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir c":                "taskmanager",
		"java -cp /a/* org.apache.spark.deploy.master.Master --host h":                                       "spark master",
		"java -cp /a/* org.apache.spark.deploy.worker.Worker --host h":                                       "spark worker",
		"java -cp /a/* org.apache.spark.executor.CoarseGrainedExecutorBackend --driver-url u":                "executor",
		"java -cp /a/* kafka.Kafka /c/server.properties":                                                     "kafka",
		"java -cp /a/* org.apache.hadoop.hdfs.server.namenode.NameNode":                                      "namenode",
		"java -cp /a/* org.apache.hadoop.hdfs.server.datanode.DataNode":                                      "datanode",
		"java -cp /a/* some.Main":                                                                            "other",
		"/usr/bin/go build":                                                                                  "other",
	} {
		if got := classOf(strings.Fields(line)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
