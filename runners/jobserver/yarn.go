package jobserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"facestream/internal/jvm"
	"facestream/internal/paths"
)

// WorkerName is the program in the containers to which YARN brings it.
const WorkerName = "facestream-worker"

// OverheadMB is what a container has beside an executor's heap, also for a Go worker.
const OverheadMB = 1024

// YARN says how a job server is an application of YARN.
type YARN struct {
	Config    string // folder with yarn-site.xml
	Tag       string // of the application
	Executors int    // of one core each
	HeapMB    int64  // of an executor
	// Worker is the program that YARN brings to the containers, and Spark's jars with it.
	// If it is empty, nodes have both, the jars where this machine has them.
	Worker string
	// Env and JVM say who submits: to Hadoop's client, and to Spark, which gets tokens for
	// what containers read from HDFS.
	Env, JVM []string
}

// onYARN makes the job server an application of YARN, and returns Spark's part for that.
func (p *Program) onYARN(y YARN, dir string) (part string, err error) {
	part, err = paths.Jar("yarn", "spark-yarn_*.jar")
	if err != nil {
		return "", err
	}
	// Like the jars, this is not uploaded with every job.
	config := filepath.Join(dir, "gradle", "wrapper", "hadoop")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return "", err
	}
	if err := os.Symlink(y.Config, config); err != nil {
		return "", err
	}
	if y.Worker != "" {
		// Without a list of jars, Spark brings those of its home in one archive: one by one they
		// take a minute.
		p.JVM = append(p.JVM, "-Dspark.yarn.dist.files="+y.Worker+"#"+WorkerName)
	} else {
		p.JVM = append(p.JVM, "-Dspark.yarn.jars=local:"+p.ClassPath+",local:"+part)
	}
	p.ClassPath = strings.Join([]string{config, p.ClassPath, part}, string(filepath.ListSeparator))
	p.JVM = append(append(p.JVM, y.JVM...),
		"-Dspark.yarn.tags="+y.Tag,
		"-Dspark.yarn.am.extraJavaOptions="+strings.Join(jvm.Kerberos(), " "),
		"-Dspark.executor.instances="+strconv.Itoa(y.Executors),
		"-Dspark.executor.cores=1",
		fmt.Sprintf("-Dspark.executor.memory=%dm", y.HeapMB),
		fmt.Sprintf("-Dspark.executor.memoryOverhead=%dm", OverheadMB),
	)
	p.Env = append(y.Env, "HADOOP_CONF_DIR="+y.Config)
	return part, nil
}
