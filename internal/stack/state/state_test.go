package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// thisProcess is a process that surely runs.
func thisProcess(t *testing.T) Process {
	t.Helper()
	p, err := NewProcess("test", os.Getpid(), "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRunning(t *testing.T) {
	alive := thisProcess(t)
	dead := alive
	dead.Born = "another boot+1"
	kafka := Service{Addr: "127.0.0.1:1", Ready: true, Processes: []Process{alive}}
	hdfs := Service{Addr: "127.0.0.1:2", WebAddr: "127.0.0.1:3", Ready: true, Processes: []Process{alive, alive}}
	flink := Service{Addr: "127.0.0.1:4", WebAddr: "127.0.0.1:5", Ready: true, Processes: []Process{alive, alive}}
	spark := Service{Addr: "127.0.0.1:6", WebAddr: "127.0.0.1:7", Ready: true, Processes: []Process{alive}}
	halfDead, notReady := hdfs, kafka
	halfDead.Processes = []Process{alive, dead}
	notReady.Ready = false
	for name, test := range map[string]struct {
		stack Stack
		want  Addrs
	}{
		"nothing":        {Stack{}, Addrs{}},
		"both":           {Stack{Kafka: kafka, HDFS: hdfs}, Addrs{Kafka: "127.0.0.1:1", HDFS: "hdfs://127.0.0.1:2", Web: "http://127.0.0.1:3"}},
		"Kafka":          {Stack{Kafka: kafka}, Addrs{Kafka: "127.0.0.1:1"}},
		"not ready":      {Stack{Kafka: notReady}, Addrs{}},
		"half of it":     {Stack{Kafka: kafka, HDFS: halfDead}, Addrs{Kafka: "127.0.0.1:1"}},
		"never started":  {Stack{Kafka: {}, HDFS: {}}, Addrs{}},
		"Flink":          {Stack{Flink: flink}, Addrs{Flink: "127.0.0.1:4", FlinkWeb: "http://127.0.0.1:5"}},
		"Spark":          {Stack{Spark: spark, Flink: notReady}, Addrs{Spark: "127.0.0.1:6", SparkWeb: "http://127.0.0.1:7"}},
		"only HDFS runs": {Stack{Kafka: notReady, HDFS: hdfs}, Addrs{HDFS: "hdfs://127.0.0.1:2", Web: "http://127.0.0.1:3"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			t.Setenv("FACESTREAM_ROOT", root)
			if err := test.stack.Save(filepath.Join(root, "build", "stack")); err != nil {
				t.Fatal(err)
			}
			got, ok := Running()
			if got != test.want || ok != (test.want != Addrs{}) {
				t.Errorf("got %+v, %v, want %+v", got, ok, test.want)
			}
		})
	}
}

func TestRunningWithoutState(t *testing.T) {
	t.Setenv("FACESTREAM_ROOT", t.TempDir())
	if got, ok := Running(); ok {
		t.Errorf("got %+v where nothing was ever started", got)
	}
}

func TestLoadNamesBrokenFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one that names %s", err, path)
	}
}
