package jobserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"facestream/internal/paths"
)

// flinkSettings are what the job server gives to its jobs: they are tried again
// when something of theirs dies, and end when the job server dies.
const flinkSettings = `restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 1 s
execution.shutdown-on-attached-exit: true
client.heartbeat.interval: 2000
client.heartbeat.timeout: 20000
`

// SparkHome makes, in dir, the folder that Spark's processes look for their
// jars in, and returns it with the environment variables that every one of
// them needs.
func SparkHome(dir string) (home string, env []string, err error) {
	classPath, err := paths.ClassPath(Spark)
	if err != nil {
		return "", nil, err
	}
	home = filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", nil, err
	}
	err = os.Symlink(filepath.Dir(classPath), filepath.Join(home, "jars"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", nil, err
	}
	return home, []string{"SPARK_HOME=" + home, "SPARK_SCALA_VERSION=2.12", "SPARK_LOCAL_IP=127.0.0.1"}, nil
}
