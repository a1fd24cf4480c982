package lab

import (
	"strings"
	"testing"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

func TestClassOf(t *testing.T) {
	l := &Lab{Dir: "/work/build/soak"}
	for line, want := range map[string]string{
		"LAB/bin/pipeline --runner=prism":                                                                       "pipeline",
		"LAB/bin/pipeline --id=1-1 --provision_endpoint=localhost:1":                                            "go worker",
		"LAB/bin/pipeline prism-server 30001":                                                                   "prism",
		"LAB/bin/camera":                                                                                        "camera",
		"/x/java -Xmx1g -cp /a/* KeptFnHarness harness.sock 8097 LAB/":                                          "java harness",
		"java -cp /a/* org.apache.beam.runners.flink.FlinkJobServerDriver LAB/":                                 "flink job server",
		"java -cp /a/* org.apache.beam.runners.spark.SparkJobServerDriver LAB/":                                 "spark job server",
		"java -cp /a/* org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir LAB/": "jobmanager",
		"java -cp /a/* org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir LAB/":                "taskmanager",
		"java -cp LAB/* org.apache.spark.deploy.master.Master --host h":                                         "spark master",
		"java -cp LAB/* org.apache.spark.deploy.worker.Worker --host h":                                         "spark worker",
		"java -cp LAB/* org.apache.spark.executor.CoarseGrainedExecutorBackend --driver-url u":                  "executor",
		"java -cp /a/* kafka.Kafka LAB/server.properties":                                                       "kafka",
		"java -cp LAB/* org.apache.hadoop.hdfs.server.namenode.NameNode":                                        "namenode",
		"java -cp LAB/* org.apache.hadoop.hdfs.server.datanode.DataNode":                                        "datanode",
		"/usr/bin/java -Dlog4j.configuration=file:LAB/log4j.properties some.Main":                               "other",
		// Not the lab's.
		"/usr/bin/java -cp /work/build/java/beam/* kafka.Kafka": "",
		"tail -f LAB/log/prism.log":                             "", // somebody looks on
		"LAB-2/bin/pipeline":                                    "",
		"/usr/bin/go build":                                     "",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "LAB", l.Dir))
		testkit.Equal(t, line, l.classOf(proc.Running{Args: args}), want)
	}
}
