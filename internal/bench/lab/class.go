package lab

import (
	"path/filepath"
	"strings"

	"facestream/runners"
)

// The classes of processes.
const (
	Pipeline    = "pipeline"
	Prism       = "prism"     // the runner, for the pipeline
	Worker      = "go worker" // of a cluster
	Harness     = "java harness"
	JobServer   = "job server"
	JobManager  = "jobmanager"
	TaskManager = "taskmanager"
	Master      = "spark master"
	SparkWorker = "spark worker"
	Executor    = "executor"
	Kafka       = "kafka"
	NameNode    = "namenode"
	DataNode    = "datanode"
	Bare        = "bare"
	Other       = "other"
)

// Services are the classes that a job does not run in.
var Services = []string{Kafka, NameNode, DataNode}

// mainClasses tell Java's processes apart, by the ends of the names of their main
// classes.
var mainClasses = map[string]string{
	"KeptFnHarness.java":                  Harness, // and the expansion service
	"JobServerDriver":                     JobServer,
	".StandaloneSessionClusterEntrypoint": JobManager,
	".TaskManagerRunner":                  TaskManager,
	".master.Master":                      Master,
	".worker.Worker":                      SparkWorker,
	".CoarseGrainedExecutorBackend":       Executor,
	"kafka.Kafka":                         Kafka,
	".NameNode":                           NameNode,
	".DataNode":                           DataNode,
}

// Class says what a process with such a command line is.
func Class(args []string) string {
	switch filepath.Base(args[0]) {
	case "pipeline":
		switch {
		case len(args) > 1 && strings.HasPrefix(args[1], "--id="):
			return Worker
		case len(args) > 1 && args[1] == runners.PrismCommand:
			return Prism
		}
		return Pipeline
	case "java":
		for _, arg := range args[1:] {
			for end, class := range mainClasses {
				if strings.HasSuffix(arg, end) && !strings.HasPrefix(arg, "-") {
					return class
				}
			}
		}
	}
	return Other
}
