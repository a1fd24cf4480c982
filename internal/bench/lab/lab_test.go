package lab

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"facestream/internal/bench/procs"
)

func ranOf(seconds float64, records int64, used map[string]procs.Use) Ran {
	return Ran{Seconds: seconds, Summary: Summary{State: "DONE", Windows: 1, RecordsRead: records}, Used: used}
}

func TestSteady(t *testing.T) {
	short := ranOf(10, 100, map[string]procs.Use{"a": {CPU: 2 * time.Second, Peak: 9e9}, "idle": {CPU: time.Second}})
	first := 6.5
	short.Summary.FirstFileSeconds = &first
	long := ranOf(15, 600, map[string]procs.Use{"a": {CPU: 12 * time.Second, Peak: 250e6}, "idle": {CPU: time.Second / 2}, "late": {CPU: time.Second}})
	got, err := steady(short, long)
	want := Steady{
		Rate: 100, FirstFile: 6.5,
		CPU:  map[string]float64{"a": 20, "idle": 0, "late": 2},
		Peak: map[string]float64{"a": 250, "idle": 0, "late": 0},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	got, err = steady(short, ranOf(10, 600, map[string]procs.Use{"late": {CPU: time.Second, Peak: 1e6}}))
	want = Steady{FirstFile: 6.5, CPU: map[string]float64{"late": 2}, Peak: map[string]float64{"late": 1}}
	if !errors.Is(err, ErrTooShort) || !reflect.DeepEqual(got, want) {
		t.Errorf("more frames in the same time: %+v, error %v, want %+v and ErrTooShort", got, err, want)
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		seconds []float64
		want    float64
	}{{[]float64{5}, 5}, {[]float64{7, 5}, 7}, {[]float64{9, 1, 4}, 4}} {
		var all []Ran
		for _, s := range tc.seconds {
			all = append(all, ranOf(s, 1, nil))
		}
		if got := median(all).Seconds; got != tc.want {
			t.Errorf("of %v %v, want %v", tc.seconds, got, tc.want)
		}
	}
}

func TestComplete(t *testing.T) {
	if err := ranOf(1, 60, nil).complete(60, false); err != nil {
		t.Error(err)
	}
	several := ranOf(1, 60, nil)
	several.Summary.Windows = 2
	if err := several.complete(60, true); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Summary){
		"records": func(s *Summary) { s.RecordsRead = 59 },
		"windows": func(s *Summary) { s.Windows = 2 },
		"state":   func(s *Summary) { s.State = "FAILED" },
	} {
		r := ranOf(1, 60, nil)
		change(&r.Summary)
		if r.complete(60, false) == nil {
			t.Errorf("%s: %+v counts as complete", name, r.Summary)
		}
	}
}

func TestLast(t *testing.T) {
	for _, tc := range []struct {
		n, total, partitions int
		want                 []int
	}{
		{4, 10, 4, []int{1, 1, 1, 1}},
		{3, 10, 4, []int{1, 1, 0, 1}},
		{10, 10, 4, []int{3, 3, 2, 2}},
		{0, 10, 2, []int{0, 0}},
	} {
		if got := last(tc.n, tc.total, tc.partitions); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("the last %d of %d in %d partitions: %v, want %v", tc.n, tc.total, tc.partitions, got, tc.want)
		}
	}
}

func TestClass(t *testing.T) {
	for line, want := range map[string]string{
		"/x/pipeline --runner=prism":                                                                         Pipeline,
		"/x/pipeline --id=1-1 --provision_endpoint=localhost:1":                                              Worker,
		"/x/pipeline prism-server 30001":                                                                     Prism,
		"/x/java -Xmx1g -cp /a/* KeptFnHarness.java harness.sock 8097":                                       Harness,
		"java -cp /a/* org.apache.beam.runners.flink.FlinkJobServerDriver --x":                               JobServer,
		"java -cp /a/* org.apache.beam.runners.spark.SparkJobServerDriver --x":                               JobServer,
		"java -cp /a/* org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir c": JobManager,
		"java -cp /a/* org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir c":                TaskManager,
		"java -cp /a/* org.apache.spark.deploy.master.Master --host h":                                       Master,
		"java -cp /a/* org.apache.spark.deploy.worker.Worker --host h":                                       SparkWorker,
		"java -cp /a/* org.apache.spark.executor.CoarseGrainedExecutorBackend --driver-url u":                Executor,
		"java -cp /a/* kafka.Kafka /c/server.properties":                                                     Kafka,
		"java -cp /a/* org.apache.hadoop.hdfs.server.namenode.NameNode":                                      NameNode,
		"java -cp /a/* org.apache.hadoop.hdfs.server.datanode.DataNode":                                      DataNode,
		"java -cp /a/* some.Main":                                                                            Other,
		"/usr/bin/go build":                                                                                  Other,
	} {
		if got := Class(strings.Fields(line)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
