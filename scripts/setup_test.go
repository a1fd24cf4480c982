package scripts_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"facestream/internal/testkit"
)

// fakeMaven stands in for mvn: it notes a call, fails if there is a file named broken,
// and makes a jar in the folder that it is given.
const fakeMaven = `#!/bin/sh
echo "$*" | sed 's/.* -P \([a-z]*\) .*/\1/' >>calls
[ ! -e broken ] || { echo no such artifact; exit 1; }
for arg; do
	case $arg in -DoutputDirectory=*) dir=${arg#*=} ;; esac
done
mkdir -p "$dir" && wc -l <calls >"$dir/a.jar"
`

// fakeCompiler stands in for javac: the class is the source.
const fakeCompiler = `#!/bin/sh
while [ "$1" != -d ]; do shift; done
cp "$3" "$2/KeptFnHarness.class"
`

// The Java parts of a profile are downloaded once, whoever asks for them, and again
// after a change of the pom. What was there stays if that fails.
func TestSetupJava(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	for _, dir := range []string{"scripts/java", "build"} {
		testkit.Must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	program := func(path, text string) {
		testkit.Must(t, os.WriteFile(path, []byte(text), 0o755))
	}
	program(filepath.Join(root, "scripts/setup.sh"), string(testkit.ReadFile(t, "setup.sh")))
	program(filepath.Join(bin, "mvn"), fakeMaven)
	program(filepath.Join(bin, "javac"), fakeCompiler)
	pom := filepath.Join(root, "scripts/java/pom.xml")
	testkit.WriteFile(t, pom, []byte("<project/>"))
	testkit.WriteFile(t, filepath.Join(root, "go.mod"), testkit.ReadFile(t, "../go.mod"))

	setup := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(root, "scripts/setup.sh"), args...)
		cmd.Env = append(os.Environ(), "JAVA_HOME=", "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	calls := func(want string) {
		t.Helper()
		if got := strings.Join(strings.Fields(string(testkit.ReadFile(t, filepath.Join(root, "calls")))), " "); got != want {
			t.Errorf("maven was called for %q, want %q", got, want)
		}
	}
	jar := filepath.Join(root, "build/java/gradle/wrapper/flink/a.jar")
	holds := func(want string) {
		t.Helper()
		if got := strings.TrimSpace(string(testkit.ReadFile(t, jar))); got != want {
			t.Errorf("%s is of call %s, want %s", jar, got, want)
		}
	}

	var both errgroup.Group
	for range 2 {
		both.Go(func() error {
			if out, err := setup("java", "flink"); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	testkit.Must(t, both.Wait())
	calls("flink")
	holds("1")

	if out, err := setup("java", "kafka", "flink"); err != nil || !strings.Contains(out, "Java parts (kafka): downloaded") {
		t.Errorf("%v: %s, want a line on kafka", err, out)
	}
	calls("flink kafka")
	testkit.ReadFile(t, filepath.Join(root, "build/java/kafka/a.jar"))

	testkit.WriteFile(t, pom, []byte("<project>changed</project>"))
	broken := filepath.Join(root, "broken")
	testkit.WriteFile(t, broken, nil)
	if out, err := setup("java", "flink"); err == nil || !strings.Contains(out, "no such artifact") || !strings.Contains(out, "downloading the Java parts (flink) failed") {
		t.Errorf("%v: %s, want a failure and what Maven said", err, out)
	}
	holds("1")
	testkit.Must(t, os.Remove(broken))
	if out, err := setup("java", "flink"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	calls("flink kafka flink flink")
	holds("4")

	// The program that runs with the parts of beam is compiled with them.
	testkit.Must(t, os.MkdirAll(filepath.Join(root, "runners/javaharness"), 0o755))
	for _, source := range []string{"a program", "another one"} {
		testkit.WriteFile(t, filepath.Join(root, "runners/javaharness/KeptFnHarness.java"), []byte(source))
		for range 2 {
			if out, err := setup("java", "beam"); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
		if got := string(testkit.ReadFile(t, filepath.Join(root, "build/java/beam/KeptFnHarness.class"))); got != source {
			t.Errorf("the parts of beam have the class of %q, want that of %q", got, source)
		}
	}
	calls("flink kafka flink flink beam beam")

	if out, err := setup("nonsense"); err == nil || !strings.Contains(out, "usage: scripts/setup.sh [tests | models | bookworm | java PROFILE...]") {
		t.Errorf("%v: %s, want the usage", err, out)
	}
}
