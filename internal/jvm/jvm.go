// Package jvm has the flags and settings of the JVMs that facestream starts: those of
// its own services and job servers, never those of a user's cluster.
package jvm

import (
	"os"
	"path/filepath"
)

// Small has a JVM start fast and leave the cores to the job: the best compiler and a
// collector in the background would take more from two cores than they give. It keeps no
// file of its figures in /tmp, which one that is killed would leave.
var Small = []string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:MetaspaceSize=96m", "-XX:+UseSerialGC", "-XX:-UsePerfData"}

// Frugal has a heap shrink to what it needs, and be cleaned up before it grows.
var Frugal = []string{"-XX:MinHeapFreeRatio=20", "-XX:MaxHeapFreeRatio=40"}

// Malloc is an environment in which the C library gives back what large buffers of a
// JVM have taken outside of its heap.
var Malloc = []string{"MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072"}

// opened are the packages of Java's own modules into which Flink and Spark look.
var opened = []string{
	"java.lang", "java.lang.invoke", "java.io", "java.net", "java.nio", "java.text", "java.time", "java.util",
	"java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.security.action", "sun.util.calendar",
}

// AddOpens returns the flags that every JVM with Flink or Spark in it needs on Java 17.
func AddOpens() []string {
	flags := make([]string, len(opened))
	for i, name := range opened {
		flags[i] = "--add-opens=java.base/" + name + "=ALL-UNNAMED"
	}
	return flags
}

// Kerberos returns the flag for $KRB5_CONFIG, which Java does not read.
func Kerberos() []string {
	if file := os.Getenv("KRB5_CONFIG"); file != "" {
		return []string{"-Djava.security.krb5.conf=" + file}
	}
	return nil
}

// logSettings are those of the logging libraries in use: warnings, to the console. To
// Beam's data plane every harness that ends with its job is an error.
var logSettings = []struct{ file, flag, settings string }{
	{"log4j.properties", "-Dlog4j.configuration=file:", `log4j.rootLogger=WARN, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
log4j.logger.org.apache.beam.sdk.fn.data.BeamFnDataGrpcMultiplexer=OFF
`},
	{"log4j2.properties", "-Dlog4j2.configurationFile=file:", `rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=stdout
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
logger.data.name=org.apache.beam.sdk.fn.data.BeamFnDataGrpcMultiplexer
logger.data.level=off
`},
	{"logging.properties", "-Djava.util.logging.config.file=", `handlers=java.util.logging.ConsoleHandler
.level=SEVERE
`},
}

// LogFlags writes the settings of every logging library to a folder and returns the
// flags that name them.
func LogFlags(dir string) (flags []string, err error) {
	for _, l := range logSettings {
		path := filepath.Join(dir, l.file)
		if err := os.WriteFile(path, []byte(l.settings), 0o644); err != nil {
			return nil, err
		}
		flags = append(flags, l.flag+path)
	}
	return flags, nil
}
