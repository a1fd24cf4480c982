package paths

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// programEnv makes the test program print what it finds.
const programEnv = "FACESTREAM_TEST_PATHS"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) == "" {
		os.Exit(m.Run())
	}
	checkout, _ := Checkout() // an error shows as the empty string
	installed, _ := Installed()
	state, _ := State{}.Dir()
	classPath, err := ClassPath("flink")
	fmt.Printf("checkout=%s\ninstalled=%s\nstate=%s\nclasspath=%s\nerror=%v\n", checkout, installed, state, classPath, err)
}

// pom is what the test's checkouts have as scripts/java/pom.xml.
const pom = "<project/>"

// checkout makes a folder that is taken for a checkout. Its setup.sh notes how it was
// called, and makes what it was asked for.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	mkdir(t, filepath.Join(root, "scripts", "java"))
	testkit.WriteFile(t, filepath.Join(root, "scripts", "java", "pom.xml"), []byte(pom))
	setup := "#!/bin/sh\nset -e\ncd \"$(dirname \"$0\")/..\"\necho \"$*\" >>calls\n[ ! -e broken ]\n" +
		"d=build/java/gradle/wrapper/$2\nmkdir -p $d\nsha256sum scripts/java/pom.xml | cut -d ' ' -f 1 >$d/pom.sha256\n"
	testkit.Must(t, os.WriteFile(filepath.Join(root, "scripts", "setup.sh"), []byte(setup), 0o755))
	return root
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(dir, 0o755))
}

// program puts this test program in a folder, runs it from another one, and returns
// what it finds.
func program(t *testing.T, bin, wd string, env ...string) map[string]string {
	t.Helper()
	self := testkit.Value(os.Executable())(t)
	mkdir(t, bin)
	file := filepath.Join(bin, "program")
	testkit.Must(t, os.WriteFile(file, testkit.ReadFile(t, self), 0o755))
	cmd := exec.Command(file)
	cmd.Dir, cmd.Env = wd, append(os.Environ(), append(env, programEnv+"=1")...)
	out := testkit.Value(cmd.Output())(t)
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		found[key] = value
	}
	return found
}

func TestCheckoutFromBelow(t *testing.T) {
	root := checkout(t)
	t.Chdir(filepath.Join(root, "scripts", "java"))
	if got, err := Checkout(); err != nil || got != root {
		t.Errorf("checkout %q (%v), want %s", got, err, root)
	}
	if dir, ok := Installed(); ok {
		t.Errorf("installed in %s, want it not to be", dir)
	}
	t.Chdir(t.TempDir())
	if got, err := Checkout(); err == nil {
		t.Errorf("checkout %q, want an error: neither the working folder nor the program is in one", got)
	}
}

// A program that was built in a checkout finds it from everywhere.
func TestCheckoutOfTheProgram(t *testing.T) {
	root := checkout(t)
	got := program(t, filepath.Join(root, "build", "bin"), t.TempDir())
	if got["checkout"] != root || got["installed"] != "" || got["state"] != filepath.Join(root, "build") ||
		got["classpath"] != filepath.Join(root, "build/java/gradle/wrapper/flink/*") {
		t.Errorf("found %v, want all of it in %s", got, root)
	}
}

// An installed program has its own Java parts and a state folder outside of any
// checkout, even where it is run inside of one.
func TestInstalled(t *testing.T) {
	prefix, root, state := t.TempDir(), checkout(t), t.TempDir()
	lib := filepath.Join(prefix, "lib", "facestream")
	mkdir(t, lib)
	run := func() map[string]string {
		return program(t, filepath.Join(prefix, "bin"), root, "XDG_STATE_HOME="+state)
	}
	if got := run(); got["installed"] != lib || got["classpath"] != "" || !strings.Contains(got["error"], "make install") {
		t.Errorf("found %v, want %s, no class path, and an error that says make install", got, lib)
	}
	flink := filepath.Join(lib, "java/gradle/wrapper/flink")
	mkdir(t, flink)
	testkit.WriteFile(t, filepath.Join(flink, stamp), nil)
	if got := run(); got["classpath"] != flink+"/*" || got["state"] != filepath.Join(state, "facestream") {
		t.Errorf("found %v, want a class path in %s and a state folder in %s", got, flink, state)
	}
	if _, err := os.Stat(filepath.Join(root, "calls")); err == nil {
		t.Error("an installed program has called the checkout's setup.sh")
	}
}

// Java parts are downloaded when they are first used, and after a change of the pom.
func TestClassPath(t *testing.T) {
	root := checkout(t)
	t.Chdir(root)
	want := filepath.Join(root, "build/java/gradle/wrapper/spark/*")
	use := func(calls int) {
		t.Helper()
		if got, err := ClassPath("spark"); err != nil || got != want {
			t.Errorf("class path %q (%v), want %s", got, err, want)
		}
		if got := string(testkit.ReadFile(t, "calls")); got != strings.Repeat("java spark\n", calls) {
			t.Errorf("setup.sh was called with %q, want java spark, %d times", got, calls)
		}
	}
	use(1)
	if got, want := strings.TrimSpace(string(testkit.ReadFile(t, filepath.Join(filepath.Dir(want), stamp)))), fmt.Sprintf("%x", sha256.Sum256([]byte(pom))); got != want {
		t.Fatalf("the test's setup.sh has written %s, want %s", got, want)
	}
	use(1)
	if jar, err := Jar("spark", "*.jar"); err == nil || !strings.Contains(err.Error(), "one *.jar in "+want) {
		t.Errorf("the jar %q (%v), want an error as there is none", jar, err)
	}
	jar := filepath.Join(filepath.Dir(want), "a-1.jar")
	testkit.WriteFile(t, jar, nil)
	testkit.Gives(Jar("spark", "a-*.jar"))(t, "the jar", jar)
	testkit.WriteFile(t, "scripts/java/pom.xml", []byte("<project>changed</project>"))
	use(2)
	testkit.WriteFile(t, "broken", nil)
	use(2)
	if path, err := ClassPath("flink"); err == nil || !strings.Contains(err.Error(), "flink") {
		t.Errorf("class path %q (%v) though setup.sh fails, want an error that names flink", path, err)
	}
}

// Beam's parts are made from the pom and the program that is compiled for them.
func TestJavaPartsOfBeam(t *testing.T) {
	root := checkout(t)
	t.Chdir(root)
	source, dir := "runners/javaharness/KeptFnHarness.java", filepath.Join(root, "build/java/beam")
	mkdir(t, filepath.Dir(source))
	mkdir(t, dir)
	testkit.WriteFile(t, filepath.Join(dir, stamp), fmt.Appendf(nil, "%x\n", sha256.Sum256([]byte(pom+"a program"))))
	for text, want := range map[string]bool{"a program": true, "another one": false} {
		testkit.WriteFile(t, source, []byte(text))
		if got, ready, err := JavaParts("beam"); err != nil || got != dir || ready != want {
			t.Errorf("%s: %s, %t, %v, want %s, %t", text, got, ready, err, dir, want)
		}
	}
}

func TestStateDir(t *testing.T) {
	root, outside, home := checkout(t), t.TempDir(), t.TempDir()
	for _, tc := range []struct{ name, wd, xdg, flag, want string }{
		{"the flag", root, home, "/x/../y", "/y"},
		{"the flag, relative", outside, "", "z", filepath.Join(outside, "z")},
		{"the checkout's", filepath.Join(root, "scripts"), home, "", filepath.Join(root, "build")},
		{"XDG_STATE_HOME", outside, "/xdg", "", "/xdg/facestream"},
		{"a relative XDG_STATE_HOME, which the standard has ignored", outside, "xdg", "", filepath.Join(home, ".local/state/facestream")},
		{"HOME", outside, "", "", filepath.Join(home, ".local/state/facestream")},
	} {
		t.Chdir(tc.wd)
		t.Setenv("XDG_STATE_HOME", tc.xdg)
		t.Setenv("HOME", home)
		var s State
		f := flag.NewFlagSet("", flag.ContinueOnError)
		s.Add(f)
		testkit.Must(t, f.Parse([]string{"--state_dir=" + tc.flag}))
		if got, err := s.Dir(); err != nil || got != tc.want {
			t.Errorf("%s: %q (%v), want %s", tc.name, got, err, tc.want)
		}
	}
	t.Chdir(outside)
	t.Setenv("HOME", "")
	if dir, err := (State{}).Dir(); err == nil || !strings.Contains(err.Error(), "--state_dir") {
		t.Errorf("%q (%v) without a home, want an error that names --state_dir", dir, err)
	}
}

// Each run has a folder. A run under way keeps all of it; of one that has ended the
// temporary files go first, and what it logged when enough newer runs are there.
func TestNewRun(t *testing.T) {
	state := t.TempDir()
	runs := filepath.Join(state, "runs")
	start := func() string {
		t.Helper()
		dir := testkit.Value(NewRun(state))(t)
		if filepath.Dir(dir) != runs {
			t.Fatalf("a run's folder is %s, want it in %s", dir, runs)
		}
		testkit.WriteFile(t, filepath.Join(dir, "tmp", "file"), nil)
		return dir
	}
	ended := func(i int) string { return filepath.Join(runs, fmt.Sprintf("2000-%02d", i)) }
	// Two at once, as the oldest there are.
	first, second := start(), start()
	if first == second {
		t.Fatalf("two runs have the folder %s", first)
	}
	alive := []string{filepath.Join(runs, "1999-1"), filepath.Join(runs, "1999-2")}
	for i, dir := range []string{first, second} {
		testkit.Must(t, os.Rename(dir, alive[i]))
	}
	for i := range keptRuns + 3 { // as killed runs leave them
		mkdir(t, filepath.Join(ended(i), "tmp"))
		testkit.WriteFile(t, filepath.Join(ended(i), "tmp", "file"), nil)
		testkit.WriteFile(t, filepath.Join(ended(i), "pipeline.log"), nil)
	}
	third := start()

	left := testkit.Value(filepath.Glob(filepath.Join(runs, "*")))(t)
	want := slices.Clone(alive)
	for i := 4; i < keptRuns+3; i++ { // with the third they are the newest
		want = append(want, ended(i))
	}
	if want = append(want, third); !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
	tmps := testkit.Value(filepath.Glob(filepath.Join(runs, "*", "tmp", "file")))(t)
	want = nil
	for _, dir := range append(alive, third) {
		want = append(want, filepath.Join(dir, "tmp", "file"))
	}
	if !slices.Equal(tmps, want) {
		t.Errorf("temporary files %q, want %q", tmps, want)
	}
	testkit.ReadFile(t, filepath.Join(ended(4), "pipeline.log"))
}

// A log that is too long goes on, and what it had is in a second file.
func TestCutLogs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"prism.log", "other.txt"} {
		log := testkit.Value(os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644))(t)
		defer log.Close()
		for _, line := range []string{"first\n", "second\n", "3\n"} {
			testkit.Value(log.WriteString(line))(t)
			testkit.Must(t, CutLogs(dir, 5))
		}
	}
	for name, want := range map[string]string{"prism.log": "3\n", "prism.log.1": "second\n", "other.txt": "first\nsecond\n3\n"} {
		if got := string(testkit.ReadFile(t, filepath.Join(dir, name))); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
}

func TestJavaHome(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("JAVA_HOME", "jdk")
	_, err := Java()
	testkit.Says(t, "a folder that is not there", err, "JAVA_HOME")
	testkit.WriteFile(t, "jdk/bin/java", nil)
	testkit.Gives(Java())(t, "java", filepath.Join(dir, "jdk/bin/java"))
}
