package services

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/stack/state"
	"facestream/runners/jobserver"
)

const (
	sparkHeap = "256m" // of the Master and of each Worker
	// executorHeap holds a window of 256 MB of frames, as read and as shuffled.
	// A Worker offers it to one executor at a time.
	executorHeap = "1536m"
)

// startSpark starts a Master, two Workers and Beam's job server in dir and
// waits until they work together. The Workers start an executor each for every
// job. What dir holds is removed: a new cluster knows nothing of an earlier
// one's jobs.
func startSpark(ctx context.Context, c *children, dir, addr, web, master string, check *check) error {
	classPath, err := paths.ClassPath(state.Spark)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	home, env, err := jobserver.SparkHome(dir)
	if err != nil {
		return err
	}
	masterPort, err := portOf(master)
	if err != nil {
		return err
	}
	webPort, err := portOf(web)
	if err != nil {
		return err
	}
	const host = "127.0.0.1"
	program := javaProgram{
		// Executors find their settings there, too.
		service: state.Spark, conf: filepath.Join(home, "conf"), classPath: classPath, heap: sparkHeap, env: env,
		jvm: append([]string{
			// What the web pages show of ended jobs.
			"-Dspark.deploy.retainedApplications=100",
			"-Dspark.worker.ui.retainedExecutors=100",
			// The folders of ended jobs hold their executors' logs.
			"-Dspark.worker.cleanup.enabled=true",
			"-Dspark.worker.cleanup.interval=60",
			"-Dspark.worker.cleanup.appDataTtl=600",
			"-Dspark.local.dir=" + filepath.Join(dir, "local"),
		}, jvm.AddOpens()...),
	}
	first := program
	first.name, first.role, first.class = "spark-master", head, "org.apache.spark.deploy.master.Master"
	first.args = []string{"--host", host, "--port", fmt.Sprint(masterPort), "--webui-port", fmt.Sprint(webPort)}
	masterProc, err := c.start(first)
	if err != nil {
		return err
	}
	server, err := startJobServer(c, state.Spark, dir, addr, "spark://"+master,
		"-Dspark.executor.memory="+executorHeap)
	if err != nil {
		return err
	}
	procs := []*child{masterProc, server}
	// A Worker that finds no Master asks again after many seconds.
	err = until(ctx, "Spark's Master at "+web, func(ctx context.Context) error {
		return check.registered(ctx, nil, 0)
	}, procs...)
	if err != nil {
		return err
	}
	// Executors take what their Worker has in its environment, whoever submits the job.
	executorFlags := strings.Join(jobserver.ExecutorFlags, " ") + " -Djava.io.tmpdir=" + filepath.Join(program.conf, "tmp")
	for i := range workers {
		worker := program
		worker.env = append(slices.Clone(env), "JDK_JAVA_OPTIONS="+executorFlags)
		worker.name, worker.role = fmt.Sprintf("spark-worker-%d", i+1), member
		worker.class = "org.apache.spark.deploy.worker.Worker"
		worker.args = []string{
			"--host", host, "--port", "0", "--webui-port", "0", "--cores", "1", "--memory", executorHeap,
			"--work-dir", filepath.Join(dir, fmt.Sprintf("work-%d", i+1)), "spark://" + master,
		}
		proc, err := c.start(worker)
		if err != nil {
			return err
		}
		procs = append(procs, proc)
	}
	return until(ctx, check.what, func(ctx context.Context) error {
		if err := check.registered(ctx, nil, workers); err != nil {
			return err
		}
		return check.works(ctx)
	}, procs...)
}

// sparkWorkers asks the Master which Workers it has, and returns their ids.
func sparkWorkers(ctx context.Context, web string) ([]string, error) {
	var cluster struct {
		Workers []struct{ ID, State string }
	}
	if err := getJSON(ctx, "http://"+web+"/json/", &cluster); err != nil {
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
