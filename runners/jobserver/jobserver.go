// Package jobserver knows how Beam's job servers for Flink and Spark are started. They take
// pipelines over Beam's job API, and run them on a cluster or on one inside of themselves.
package jobserver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"facestream/internal/jvm"
	"facestream/internal/paths"
)

// Loopback is where servers listen that only this machine calls.
const Loopback = "127.0.0.1"

// The engines.
const (
	Flink = "flink"
	Spark = "spark"
)

// Config says which job server is wanted.
type Config struct {
	Engine string // Flink or Spark
	// Master is the cluster: host:port of Flink's REST API, spark://host:port, or LocalMaster.
	Master string
	// YARN says what Spark needs if Master is "yarn".
	YARN YARN
	// Slots is the most cores of a Spark cluster that a job takes; 0 is all.
	Slots int
	// OneRun says that all jobs are one run's: on Spark they then share their executors, and are
	// only cancelled by the end of the job server.
	OneRun bool
	// Own says that this program has started the cluster. A user's keeps its own settings.
	Own bool
	// Host is the address of this machine at which Spark's executors call it.
	Host         string
	Port         int // of the job service, on the loopback address
	ArtifactPort int // of the artifact service, likewise
	// Dir is the job server's own folder, which must exist, and may go with the server.
	Dir string
}

// Program is a Java program's command line, and its environment beside this process's.
type Program struct {
	ClassPath string
	Class     string
	JVM       []string // flags
	Args      []string
	Env       []string // NAME=value
}

// attempts is how often failed work is done again by a cluster inside of the job server.
const attempts = 4

// ExecutorFlags are for the executors of a Spark cluster on two cores. Spark holds raw frames to
// the end of a stage: copying them between generations took more than half of the time.
var ExecutorFlags = slices.Concat(jvm.Small, jvm.Frugal, []string{"-XX:PretenureSizeThreshold=262144", "-Xms160m", "-Xmn96m"})

// sparkRun has the jobs of one run share a Spark context, whose executors are slow to start.
const sparkRun = "-Dbeam.spark.test.reuseSparkContext=true"

// sparkRetries is how often in a row a stage may miss the output of an executor that died. It is
// tried again after 0.2 s, and made anew in seconds: Spark's own four attempts pass before.
const sparkRetries = "-Dspark.stage.maxConsecutiveAttempts=100"

// sparkSpread has what one reader has read go to free slots on all nodes at once. Spark would
// keep it on the reader's node for as long as that begins something every three seconds.
const sparkSpread = "-Dspark.shuffle.reduceLocality.enabled=false"

// ownSpark are settings for a cluster that this program has started. A JPEG gets no smaller by
// compression, and an ended job that is remembered takes half a megabyte.
var ownSpark = []string{
	"-Dspark.shuffle.compress=false",
	"-Dspark.cleaner.periodicGC.interval=5s",
	"-Dspark.executorEnv.MALLOC_ARENA_MAX=2", // not all of jvm.Malloc: raw frames need large buffers all the time
	"-Dspark.ui.retainedJobs=4", "-Dspark.ui.retainedStages=4", "-Dspark.ui.retainedTasks=64",
}

// LocalMaster is the Master of a cluster of so many slots inside of the job server.
func LocalMaster(engine string, slots int) string {
	if engine == Spark {
		return fmt.Sprintf("local[%d,%d]", slots, attempts)
	}
	return "[local]" // Flink takes the slots from each job's parallelism
}

// New returns the job server's program, after writing its settings to Dir.
func New(c Config) (Program, error) {
	classPath, err := paths.ClassPath(c.Engine)
	if err != nil {
		return Program{}, err
	}
	p := Program{
		ClassPath: classPath,
		JVM:       append(jvm.AddOpens(), jvm.Kerberos()...),
		Args: []string{
			"--job-host=" + Loopback, "--job-port=" + strconv.Itoa(c.Port),
			"--artifact-port=" + strconv.Itoa(c.ArtifactPort), "--artifacts-dir=" + filepath.Join(c.Dir, "artifacts"),
			"--expansion-port=-1",
		},
	}
	switch c.Engine {
	case Flink:
		p.Class = "org.apache.beam.runners.flink.FlinkJobServerDriver"
		p.Args = append(p.Args, "--flink-master="+c.Master, "--flink-conf-dir="+c.Dir)
		return p, os.WriteFile(filepath.Join(c.Dir, "config.yaml"), []byte(flinkSettings), 0o644)
	case Spark:
		p.Class = "org.apache.beam.runners.spark.SparkJobServerDriver"
		p.Args = append(p.Args, "--spark-master-url="+c.Master)
		p.JVM = append(p.JVM,
			"-Dspark.driver.host="+c.Host,
			"-Dspark.local.dir="+filepath.Join(c.Dir, "local"),
			"-Dspark.ui.enabled=false",
			sparkRetries, sparkSpread,
			"-Dspark.executor.extraJavaOptions="+strings.Join(append(jvm.AddOpens(), jvm.Kerberos()...), " "),
		)
		if c.Own {
			p.JVM = append(p.JVM, ownSpark...)
		}
		if c.OneRun {
			p.JVM = append(p.JVM, sparkRun)
		}
		var more []string
		if c.Master == "yarn" {
			part, err := p.onYARN(c.YARN, c.Dir)
			if err != nil {
				return p, err
			}
			more = append(more, part)
		} else if c.Slots > 0 {
			p.JVM = append(p.JVM, "-Dspark.cores.max="+strconv.Itoa(c.Slots))
		}
		home, err := SparkHome(c.Dir, more...)
		p.Env = slices.Concat(p.Env, SparkEnv(home, c.Host), jvm.Malloc)
		return p, err
	}
	return Program{}, fmt.Errorf("engine %q: it must be %s or %s", c.Engine, Flink, Spark)
}

// flinkSettings are for a cluster inside of the job server, which tries a job again. They must
// not have execution.shutdown-on-attached-exit: Beam's job server sends no heartbeats, and a job
// would be cancelled after two minutes.
const flinkSettings = `restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 1 s
`

// SparkHome makes, in dir, the folder that Spark's processes look for their
// jars in, with more of them besides, and returns it.
func SparkHome(dir string, more ...string) (home string, err error) {
	classPath, err := paths.ClassPath(Spark)
	if err != nil {
		return "", err
	}
	all, err := filepath.Glob(classPath + ".jar")
	if err != nil {
		return "", err
	}
	home = filepath.Join(dir, "home")
	jars := filepath.Join(home, "jars")
	if err := os.RemoveAll(jars); err != nil { // of an earlier start
		return "", err
	}
	if err := os.MkdirAll(jars, 0o755); err != nil {
		return "", err
	}
	for _, jar := range append(all, more...) {
		if err := os.Symlink(jar, filepath.Join(jars, filepath.Base(jar))); err != nil {
			return "", err
		}
	}
	return home, nil
}

// SparkEnv is the environment that every process of Spark needs at that address.
func SparkEnv(home, host string) []string {
	return []string{"SPARK_HOME=" + home, "SPARK_SCALA_VERSION=2.12", "SPARK_LOCAL_IP=" + host}
}
