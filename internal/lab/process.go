package lab

import (
	"path/filepath"
	"strings"

	"facestream/internal/proc"
	"facestream/runners"
)

// Process is one of the lab's, and what it is.
type Process struct {
	proc.Running
	Class string
}

// mainClasses tell Java's processes apart by the ends of the names of their main classes.
var mainClasses = map[string]string{
	"KeptFnHarness":                       "java harness", // and the expansion service
	"FlinkJobServerDriver":                "flink job server",
	"SparkJobServerDriver":                "spark job server",
	".StandaloneSessionClusterEntrypoint": "jobmanager",
	".TaskManagerRunner":                  "taskmanager",
	".master.Master":                      "spark master",
	".worker.Worker":                      "spark worker",
	".CoarseGrainedExecutorBackend":       "executor",
	"kafka.Kafka":                         "kafka",
	".NameNode":                           "namenode",
	".DataNode":                           "datanode",
}

// classOf names what a process of the lab with such a command line is. It is empty for
// others: the lab's run a program of the lab, or are Java with files there.
func (l *Lab) classOf(p proc.Running) string {
	dir, first := l.Dir+string(filepath.Separator), ""
	if len(p.Args) > 1 {
		first = p.Args[1]
	}
	switch program := filepath.Base(p.Args[0]); {
	case program == "java" && p.Has(dir):
		for _, arg := range p.Args[1:] {
			for end, class := range mainClasses {
				if strings.HasSuffix(arg, end) && !strings.HasPrefix(arg, "-") {
					return class
				}
			}
		}
		return "other"
	case !strings.HasPrefix(p.Args[0], dir):
		return ""
	case program == pipeline && strings.HasPrefix(first, "--id="):
		return "go worker" // of a cluster
	case program == pipeline && first == runners.PrismCommand:
		return "prism" // the runner, for the pipeline
	default:
		return program
	}
}

// Processes returns those of the lab that run.
func (l *Lab) Processes() (out []Process, err error) {
	all, err := proc.All()
	for _, p := range all {
		if class := l.classOf(p); class != "" {
			out = append(out, Process{p, class})
		}
	}
	return out, err
}

// Service returns the name of one of the stack's processes, empty if it is none.
func (l *Lab) Service(pid int) string {
	for _, p := range l.Stack.Processes() {
		if p.PID == pid {
			return p.Name
		}
	}
	return ""
}
