package jobserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"facestream/runners/parts"
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

// log4j and log4j2 are the settings of the logging libraries: warnings, on the
// console.
const (
	log4j = `log4j.rootLogger=WARN, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
`
	log4j2 = `rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
`
)

// opened are the packages of Java's own modules into which Flink and Spark
// look.
var opened = []string{
	"java.lang", "java.lang.invoke", "java.io", "java.net", "java.nio", "java.text", "java.time", "java.util",
	"java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.security.action", "sun.util.calendar",
}

// AddOpens returns the flags without which Flink and Spark do not work on Java
// 17. Every JVM that holds one of them needs these.
func AddOpens() []string {
	flags := make([]string, len(opened))
	for i, name := range opened {
		flags[i] = "--add-opens=java.base/" + name + "=ALL-UNNAMED"
	}
	return flags
}

// SparkHome makes, in dir, the folder that Spark's processes look for their
// jars in, and returns it with the environment variables that every one of
// them needs.
func SparkHome(dir string) (home string, env []string, err error) {
	classPath, err := parts.ClassPath(Spark)
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
