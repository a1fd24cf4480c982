package services

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"facestream/internal/jvm"
	"facestream/internal/rest"
	"facestream/internal/stack/state"
	"facestream/runners/jobserver"
)

const (
	sparkMaster = "spark-master"
	sparkHeap   = "256m" // of the Master and of each Worker
	// executorHeap holds a window of 256 MB of frames, as read and as shuffled.
	executorHeap = "1536m"
)

// sparkPrograms are a Master, Beam's job server and two Workers, of one executor each.
func sparkPrograms(_ *Stack, dir string, o Options) ([]javaProgram, error) {
	home, err := jobserver.SparkHome(dir)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(home, "conf") // executors find their settings there, too
	flags := append([]string{
		// What the web pages show of ended jobs.
		"-Dspark.deploy.retainedApplications=100",
		"-Dspark.worker.ui.retainedExecutors=100",
		// The folders of ended jobs hold their executors' logs.
		"-Dspark.worker.cleanup.enabled=true",
		"-Dspark.worker.cleanup.interval=60",
		"-Dspark.worker.cleanup.appDataTtl=600",
		"-Dspark.local.dir=" + filepath.Join(dir, "local"),
	}, jvm.AddOpens()...)
	program := func(name, class string, args ...string) javaProgram {
		at := o.hostOf(name)
		return javaProgram{
			name: name, classes: state.Spark, conf: conf, heap: sparkHeap, jvm: flags, class: "org.apache.spark.deploy." + class,
			args: append([]string{"--host", at}, args...), env: jobserver.SparkEnv(home, at),
		}
	}
	master := o.Addrs.SparkMaster
	server, err := jobServer(o, state.Spark, dir, o.Addrs.Spark, master, "-Dspark.executor.memory="+executorHeap)
	if err != nil {
		return nil, err
	}
	programs := []javaProgram{
		program(sparkMaster, "master.Master", "--port", portOf(master), "--webui-port", portOf(o.Addrs.SparkWeb)),
		server,
	}
	// Executors take what their Worker has in its environment, whoever submits the job.
	executorFlags := strings.Join(jobserver.ExecutorFlags, " ") + " -Djava.io.tmpdir=" + filepath.Join(conf, "tmp")
	for i := range workers {
		worker := program(fmt.Sprintf("spark-worker-%d", i+1), "worker.Worker",
			"--port", "0", "--webui-port", "0", "--cores", "1", "--memory", executorHeap,
			"--work-dir", filepath.Join(dir, fmt.Sprintf("work-%d", i+1)), master)
		worker.member = true
		worker.env = append(worker.env, "JDK_JAVA_OPTIONS="+executorFlags)
		programs = append(programs, worker)
	}
	return programs, nil
}

// sparkWorkers asks the Master which Workers it has, and returns their ids.
func sparkWorkers(ctx context.Context, a state.Addrs) ([]string, error) {
	var cluster struct {
		Workers []struct{ ID, State string }
	}
	if err := rest.Get(ctx, a.SparkWeb+"/json/", &cluster); err != nil {
		return nil, err
	}
	var ids []string
	for _, w := range cluster.Workers {
		if w.State == "ALIVE" {
			ids = append(ids, w.ID)
		}
	}
	return ids, nil
}
