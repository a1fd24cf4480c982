package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"facestream/internal/cli"
	"facestream/runners"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
)

var (
	optionName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	// ownOptions are the runner's options that have a meaning to this program.
	ownOptions = []string{
		"app_name", "experiments", "job_name", "options_id", "parallelism", "streaming", "runner", "files_to_stage",
		"flink_master", "spark_master", "default_environment_type", "default_environment_config",
	}
)

// checkRunner checks and completes the settings of the runner.
func (v *Flags) checkRunner(o *Options) error {
	c := &o.Runner
	if err := cli.OneOf("runner", c.Name, runners.Names); err != nil {
		return err
	}
	if c.MaxBytes == 0 {
		if c.MaxBytes = 256 << 20; c.Name == runners.Prism { // it holds a window ten times over
			c.MaxBytes = 64 << 20
		}
	}
	if c.MaxBytes < 1<<20 {
		return fmt.Errorf("--window_bytes=%v: it must be at least 1MiB", cli.Bytes(c.MaxBytes))
	}
	if c.Parallelism < 0 {
		return fmt.Errorf("--parallelism=%d: it must be a number of slots, such as 2", c.Parallelism)
	}
	if c.Name != runners.Flink && c.Name != runners.Spark {
		for flag, set := range map[string]bool{
			"--endpoint": c.Endpoint != "", "--master": c.Master != "", "--driver_host": c.DriverHost != "", "--worker": c.Worker != "",
			"--parallelism": c.Parallelism != 0, "--runner_option": len(c.Options) > 0,
		} {
			if set {
				return fmt.Errorf("%s is for --runner=%s and --runner=%s, not for %s", flag, runners.Flink, runners.Spark, c.Name)
			}
		}
		return nil
	}
	return checkCluster(c, o.Reader)
}

// checkCluster checks and completes the settings for Flink and Spark.
func checkCluster(c *runners.Config, reader string) error {
	switch {
	case c.Endpoint != "" && c.Master != "":
		return errors.New("--endpoint and --master are both set: a job server that runs already knows its cluster")
	case c.Endpoint != "":
		if err := cli.CheckAddr("--endpoint", c.Endpoint); err != nil {
			return err
		}
		if c.Name == runners.Spark && c.Parallelism != 0 && reader != kafka.Native {
			return errors.New("--parallelism with --endpoint on Spark: the setting spark.cores.max of the job server decides; leave it out")
		}
	case c.Master != "":
		if c.Master == runners.YARN {
			if _, _, err := hdfs.YARNSettings(); err != nil {
				return fmt.Errorf("--master=%s: %w", c.Master, err)
			}
			break
		}
		addr, isSpark := strings.CutPrefix(c.Master, "spark://")
		if isSpark != (c.Name == runners.Spark) || cli.CheckAddr("--master", addr) != nil {
			want := map[string]string{runners.Flink: "HOST:PORT of Flink's REST API, such as jobmanager:8081", runners.Spark: "spark://HOST:PORT"}
			return fmt.Errorf("--master=%s: for --runner=%s it must be %s, or yarn", c.Master, c.Name, want[c.Name])
		}
	}
	if c.DriverHost != "" && (c.Name != runners.Spark || c.Master == "") {
		return errors.New("--driver_host is set, but it is for a job server for Spark that is started for --master=spark://HOST:PORT")
	}
	if c.Parallelism == 0 && !c.Cluster() {
		c.Parallelism = runtime.GOMAXPROCS(0)
	}
	if c.Worker != "" && !c.Cluster() {
		return errors.New("--worker is set, but neither --endpoint nor --master: without a cluster, this process is the worker")
	}
	if c.Worker == "" && c.Cluster() && (c.Name != runners.Spark || c.Master != runners.YARN) {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("--worker is not set, and this program's own path is unknown: %w", err)
		}
		c.Worker = self
	}
	if c.Worker != "" && !filepath.IsAbs(c.Worker) {
		return fmt.Errorf("--worker=%s: it must be an absolute path, valid on every node", c.Worker)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Options)) {
		switch {
		case !optionName.MatchString(name):
			return fmt.Errorf("--runner_option=%s: it must be NAME=VALUE with the name in lower case, such as max_bundle_size=100", name)
		case slices.Contains(ownOptions, name):
			return fmt.Errorf("--runner_option=%s: facestream sets that itself", name)
		}
	}
	return nil
}

// checkWorkerKeytab completes with what the workers of a cluster log in.
func (o *Options) checkWorkerKeytab() error {
	path := o.Runner.WorkerKeytab
	needed := o.Runner.Cluster() && len(o.Kerberos.Settings) > 0
	switch {
	case path != "" && !needed:
		return errors.New("--worker_keytab is set, but there is no cluster whose workers would write to an HDFS with Kerberos")
	case path == "" && needed && o.Kerberos.Keytab == "":
		return errors.New("a ticket cache is not on the nodes of a cluster: give --kerberos_principal and --kerberos_keytab, and --worker_keytab if it is at another path there")
	case path != "" && !filepath.IsAbs(path):
		return fmt.Errorf("--worker_keytab=%s: it must be an absolute path, valid on every node", path)
	}
	o.Runner.User, o.Runner.Login = o.User, o.Kerberos.Login
	if path == "" && needed {
		o.Runner.WorkerKeytab = o.Kerberos.Keytab
	}
	return nil
}
