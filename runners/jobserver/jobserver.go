// Package jobserver knows how Beam's job servers for Flink and Spark are
// started from the Java parts that scripts/setup.sh installed. A job server
// takes pipelines over Beam's job API and runs them on its cluster, or on one
// inside of itself.
package jobserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"facestream/runners/parts"
)

// The engines.
const (
	Flink = "flink"
	Spark = "spark"
)

// Config says which job server is wanted.
type Config struct {
	Engine string // Flink or Spark
	// Master is the cluster: host:port of Flink's REST API, or
	// spark://host:port. LocalMaster names one inside of the job server.
	Master string
	// Slots is the most cores of a Spark cluster that a job takes; 0 is all.
	Slots int
	// OneRun says that all jobs are those of one run, one after the other: on
	// Spark they then share their executors, which start once. Such a job is only
	// cancelled by the end of the job server.
	OneRun       bool
	Port         int // of the job service, on the loopback address
	ArtifactPort int // of the artifact service, likewise
	// Dir is the job server's own folder; it must exist. It holds its settings
	// and what it unpacks and stages, so it can go when the server has ended.
	Dir string
}

// Program is a Java program: what stands on its command line, and the
// environment variables that it needs beside this process's.
type Program struct {
	ClassPath string
	Class     string
	JVM       []string // flags
	Args      []string
	Env       []string // NAME=value
}

// attempts is how often a job's failed work is done again where the cluster is
// inside of the job server; a real cluster has its own settings for that.
const attempts = 4

const (
	// executorFlags are for Java that copies records, between Kafka, shuffles and
	// workers: compiling it best and collecting in the background would take more
	// from the cores than they give. The heap begins small and is cleaned up before
	// it grows. Raw frames are put where they stay: Spark holds what a stage has read
	// until the stage's end, and copying them from one generation to the next took
	// more than half of the time.
	executorFlags = "-Xshare:auto -XX:TieredStopAtLevel=1 -XX:MetaspaceSize=96m -XX:+UseSerialGC -XX:PretenureSizeThreshold=262144 -Xms160m -Xmn96m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40"
	// keptContext has Beam keep its Spark context from one job to the next, whose
	// executors take longer to start than a small window takes to do.
	keptContext = "-Dbeam.spark.test.reuseSparkContext=true"
	// refetches is how often in a row a stage may miss what it is to fetch. After an
	// executor's death that was more than Spark's own four times, in a test on a busy
	// machine: the stage is tried again at once, and what it misses takes seconds.
	refetches = "-Dspark.stage.maxConsecutiveAttempts=100"
	// cleaning is how often Spark looks for what ended jobs have shuffled and
	// cached, to remove it from the executors.
	cleaning = "-Dspark.cleaner.periodicGC.interval=5s"
)

// remembered is how much Spark keeps of jobs that have ended, for a page that nobody
// sees. By default that is a thousand jobs and stages, and a hundred thousand tasks,
// each with Beam's metrics as text: half a megabyte for each window of a run.
var remembered = []string{"-Dspark.ui.retainedJobs=4", "-Dspark.ui.retainedStages=4", "-Dspark.ui.retainedTasks=64"}

// LocalMaster is the Master of a cluster of so many slots inside of the job
// server.
func LocalMaster(engine string, slots int) string {
	if engine == Spark {
		return fmt.Sprintf("local[%d,%d]", slots, attempts)
	}
	return "[local]" // Flink takes the slots from each job's parallelism
}

// New returns the job server's program, after writing its settings to Dir.
func New(c Config) (Program, error) {
	classPath, err := parts.ClassPath(c.Engine)
	if err != nil {
		return Program{}, err
	}
	p := Program{
		ClassPath: classPath,
		JVM:       AddOpens(),
		Args: []string{
			"--job-host=127.0.0.1", "--job-port=" + strconv.Itoa(c.Port),
			"--artifact-port=" + strconv.Itoa(c.ArtifactPort), "--artifacts-dir=" + filepath.Join(c.Dir, "artifacts"),
			"--expansion-port=-1",
		},
	}
	switch c.Engine {
	case Flink:
		p.Class = "org.apache.beam.runners.flink.FlinkJobServerDriver"
		p.Args = append(p.Args, "--flink-master="+c.Master, "--flink-conf-dir="+c.Dir)
		p.JVM = append(p.JVM, "-Dlog4j.configuration=file:"+filepath.Join(c.Dir, "log4j.properties"))
		return p, write(c.Dir, map[string]string{"config.yaml": flinkSettings, "log4j.properties": log4j})
	case Spark:
		p.JVM = append(p.JVM, "-Dlog4j2.configurationFile="+filepath.Join(c.Dir, "log4j2.properties"))
		if err := write(c.Dir, map[string]string{"log4j2.properties": log4j2}); err != nil {
			return Program{}, err
		}
		p.Class = "org.apache.beam.runners.spark.SparkJobServerDriver"
		p.Args = append(p.Args, "--spark-master-url="+c.Master)
		p.JVM = append(p.JVM,
			"-Dspark.driver.host=127.0.0.1",
			"-Dspark.local.dir="+filepath.Join(c.Dir, "local"),
			"-Dspark.ui.enabled=false",
			"-Dspark.executor.defaultJavaOptions="+executorFlags,
			"-Dspark.executorEnv.MALLOC_ARENA_MAX=2", // not all of parts.Malloc: raw frames need large buffers all the time
			"-Dspark.shuffle.compress=false",         // a JPEG gets no smaller
			refetches,
			"-Dspark.executor.extraJavaOptions="+strings.Join(AddOpens(), " "),
		)
		p.JVM = append(p.JVM, remembered...)
		if c.OneRun {
			p.JVM = append(p.JVM, keptContext, cleaning)
		}
		if c.Slots > 0 {
			p.JVM = append(p.JVM, "-Dspark.cores.max="+strconv.Itoa(c.Slots))
		}
		_, p.Env, err = SparkHome(c.Dir)
		p.Env = append(p.Env, parts.Malloc...)
		return p, err
	}
	return Program{}, fmt.Errorf("engine %q: it must be %s or %s", c.Engine, Flink, Spark)
}

func write(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
