package scripts_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

// Installed programs run from anywhere and need no environment variable: a job, the
// check before it and the verification after it, with Java parts and cascades that were
// installed, and logs in the user's state folder.
func TestInstall(t *testing.T) {
	addrs := testservices.Start(t, services.Options{Kafka: true, HDFS: true})
	prefix, state := t.TempDir(), t.TempDir()
	install := exec.Command("make", "-C", "..", "install", "PREFIX="+prefix, "java_parts=beam")
	install.Env = environment()
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}

	wd := t.TempDir()
	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(prefix, "bin", program), args...)
		cmd.Dir = wd
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + wd, "XDG_STATE_HOME=" + state}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	const version = `^facestream [0-9.]+, commit [0-9a-f]{12}(-dirty)?, Go 1[0-9.]+`
	for program, want := range map[string]string{
		"facestream":        version + `, Beam [0-9.]+, OpenCV [0-9.]+\n$`,
		"facestream-camera": version + `, Beam [0-9.]+, OpenCV [0-9.]+\n$`,
		"facestream-stack":  version + `, Beam [0-9.]+\n$`,
	} {
		if got := run(program, "--version"); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s --version: %q, want %s", program, got, want)
		}
	}

	kafka, output := "--kafka="+addrs.Kafka, "--output="+addrs.HDFS+"/user/ida/installed"
	run("facestream-camera", kafka, "--source=demo", "--frames=3", "--topic=installed")
	flags := []string{kafka, output, "--topics=installed", "--group=installed", "--user=ida"}
	if got := run("facestream", append([]string{"check"}, flags...)...); !strings.Contains(got, prefix+"/lib/facestream/cascades/haarcascades/") {
		t.Errorf("facestream check looks for a cascade elsewhere:\n%s", got)
	}
	summary := filepath.Join(wd, "summary.json")
	run("facestream", append(flags, "--drain", "--summary="+summary)...)
	var got struct {
		Read  int `json:"records_read"`
		Files int `json:"files_written"`
	}
	if err := json.Unmarshal(testkit.ReadFile(t, summary), &got); err != nil || got.Read != 3 || got.Files != 2 {
		t.Errorf("the summary has %+v (%v), want 3 records read and 2 files", got, err)
	}
	run("facestream", append([]string{"verify"}, flags...)...)
	if logs, err := filepath.Glob(filepath.Join(state, "facestream", "runs", "*", "pipeline.log")); err != nil || len(logs) != 1 {
		t.Errorf("logs %q (%v), want one", logs, err)
	}
}
