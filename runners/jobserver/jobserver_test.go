package jobserver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// To containers that lack them, Spark brings the jars of its home in one archive, with its part
// for YARN. It does so where it is given no list of jars.
func TestJarsOnYARN(t *testing.T) {
	testkit.NotShort(t, "needs the Java parts")
	for worker, listed := range map[string]bool{"": true, "/x/facestream": false} {
		dir := t.TempDir()
		p := testkit.Value(New(Config{Engine: Spark, Master: "yarn", Dir: dir, YARN: YARN{Config: t.TempDir(), Worker: worker}}))(t)
		got := slices.ContainsFunc(p.JVM, func(flag string) bool { return strings.HasPrefix(flag, "-Dspark.yarn.jars=") })
		testkit.Equal(t, "a list of jars, with the program "+worker, got, listed)
		for _, part := range []string{"spark-core_*.jar", "spark-yarn_*.jar", "beam-sdks-java-io-kafka-*.jar"} {
			found, err := filepath.Glob(filepath.Join(dir, "home", "jars", part))
			if err != nil || len(found) != 1 {
				t.Fatalf("%s in Spark's home: %q, %v, want one", part, found, err)
			}
			testkit.Value(os.Stat(found[0]))(t)
		}
	}
}
