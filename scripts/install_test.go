package scripts_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"facestream/internal/cli"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

// pack is what make dist has made.
func pack(t *testing.T) (archive, deb string) {
	dir := t.TempDir()
	// Without -trimpath, which would compile everything anew.
	dist := exec.Command("make", "-C", "..", "dist", "dist="+dir, "java_parts=beam", "compression=1", "GOFLAGS=-buildvcs=false")
	dist.Env = environment()
	testkit.Output(t, dist)
	prefix := filepath.Join(dir, "facestream")
	return prefix + "-" + cli.Version + "-linux-" + runtime.GOARCH + ".tar.gz", prefix + "_" + cli.Version + "_" + runtime.GOARCH + ".deb"
}

// Unpacked programs run from anywhere and need no environment variable: a job, the
// check before it and the verification after it, with Java parts and cascades that were
// unpacked, and logs in the user's state folder. A package for Debian has the same files.
func TestInstall(t *testing.T) {
	addrs := testservices.Start(t, services.Options{Kafka: true, HDFS: true})
	archive, deb := pack(t)
	prefix, wd, state := t.TempDir(), t.TempDir(), t.TempDir()
	testkit.Output(t, exec.Command("tar", "-xzf", archive, "--strip-components=1", "-C", prefix))
	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(prefix, "bin", program), args...)
		cmd.Dir = wd
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + wd, "XDG_STATE_HOME=" + state}
		return testkit.Output(t, cmd)
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
	job(t, addrs, "installed", "/", filepath.Join(wd, "summary.json"), run)
	if got := run("facestream", "check", "--kafka="+addrs.Kafka, "--output="+wd, "--topics=installed"); !strings.Contains(got, prefix+"/lib/facestream/cascades/haarcascades/") {
		t.Errorf("facestream check looks for a cascade elsewhere:\n%s", got)
	}
	if logs, err := filepath.Glob(filepath.Join(state, "facestream", "runs", "*", "pipeline.log")); err != nil || len(logs) != 1 {
		t.Errorf("logs %q (%v), want one", logs, err)
	}

	installed := strings.Split(strings.TrimSpace(testkit.Output(t, exec.Command("find", prefix, "-type", "f", "-printf", "/usr/%P %m root/root\n"))), "\n")
	want := append(slices.DeleteFunc(installed, func(file string) bool { return strings.HasPrefix(file, "/usr/lib/facestream/cascades/") }),
		"/etc/facestream/flags 644 root/root", "/usr/lib/systemd/system/facestream.service 644 root/root", "/usr/share/doc/facestream/copyright 644 root/root")
	var got []string
	for line := range strings.Lines(testkit.Output(t, exec.Command("dpkg-deb", "--contents", deb))) {
		if f := strings.Fields(line); f[0][0] == '-' {
			got = append(got, strings.TrimPrefix(f[5], ".")+map[string]string{"-rw-r--r--": " 644 ", "-rwxr-xr-x": " 755 "}[f[0]]+f[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the package has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// job sends three frames, and checks, runs and verifies a job that reads them. The
// summary is written to a file of root.
func job(t *testing.T, addrs state.Addrs, topic, root, summary string, run func(program string, args ...string) string, more ...string) {
	t.Helper()
	run("facestream-camera", "--kafka="+addrs.Kafka, "--source=demo", "--frames=3", "--topic="+topic)
	flags := []string{"--kafka=" + addrs.Kafka, "--output=" + addrs.HDFS + "/user/ida/" + topic, "--topics=" + topic, "--group=" + topic, "--user=ida"}
	run("facestream", slices.Concat([]string{"check"}, flags, more)...)
	run("facestream", slices.Concat(flags, more, []string{"--drain", "--summary=" + summary})...)
	var got struct {
		Read  int `json:"records_read"`
		Files int `json:"files_written"`
	}
	if err := json.Unmarshal(testkit.ReadFile(t, filepath.Join(root, summary)), &got); err != nil || got.Read != 3 || got.Files != 2 {
		t.Errorf("%s: the summary has %+v (%v), want 3 records read and 2 files", topic, got, err)
	}
	run("facestream", append([]string{"verify"}, flags...)...)
}

// inside runs the rest of its arguments as a user of the Debian in $0.
const inside = `mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind "$APT" "$0/var/cache/apt/archives" && exec chroot --userspec="$@"`

// In a bare Debian 12, apt installs the package with what it depends on. The job runs there as the
// unit's user, with either reader. Removed, it leaves its state and settings; purged, nothing.
func TestPackage(t *testing.T) {
	testkit.OnlyInAll(t)
	addrs := testservices.Start(t, services.Options{Kafka: true, HDFS: true})
	testkit.Output(t, exec.Command("./setup.sh", "bookworm"))
	root, apt := filepath.Join(t.TempDir(), "root"), testkit.Value(filepath.Abs("../build/apt"))(t)
	testkit.Output(t, exec.Command("cp", "-a", "../build/bookworm", root))
	testkit.WriteFile(t, filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 localhost\n")) // as Debian's installer does
	testkit.Must(t, os.MkdirAll(apt, 0o755))
	in := func(user, java string, args ...string) string {
		t.Helper()
		cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", inside, root, user, root}, args...)...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "XDG_STATE_HOME=/var/lib", "JAVA_HOME=" + java, "APT=" + apt}
		return testkit.Output(t, cmd)
	}
	aptGet := func(args ...string) {
		in("root", "", append([]string{"apt-get", "-qy", "--no-install-recommends"}, args...)...)
	}
	_, deb := pack(t)
	aptGet("update")
	aptGet("satisfy", testkit.Output(t, exec.Command("dpkg-deb", "--field", deb, "Depends")))
	files := func() []string { // without adduser's copies of what it changed, and the folder for JVMs of a user
		return strings.Split(testkit.Output(t, exec.Command("find", root, "-path", root+"/etc/*-", "-o", "-name", "hsperfdata_*", "-o", "-printf", "/%P\n")), "\n")
	}
	before := files()
	testkit.Output(t, exec.Command("cp", deb, root+"/tmp/"))
	aptGet("install", "/tmp/"+filepath.Base(deb))
	testkit.Must(t, os.Remove(filepath.Join(root, "tmp", filepath.Base(deb))))

	in("root", "", "install", "-d", "-o", "facestream", "/var/lib/facestream") // as systemd does
	for topic, tc := range map[string]struct{ java, flag string }{
		"package_kafkaio": {"", "--reader=kafkaio"},
		"package_native":  {"/nowhere", "--reader=native"},
	} {
		job(t, addrs, topic, root, "/var/lib/facestream/"+topic, func(program string, args ...string) string {
			t.Helper()
			return in("facestream", tc.java, append([]string{program}, args...)...)
		}, tc.flag)
	}

	aptGet("remove", "facestream")
	for _, file := range files() {
		if !slices.Contains(before, file) && !strings.HasPrefix(file, "/etc/facestream") && !strings.HasPrefix(file, "/var/lib/facestream") && !strings.HasPrefix(file, "/var/lib/dpkg/info/facestream.") {
			t.Errorf("removed, the package leaves %s", file)
		}
	}
	aptGet("purge", "facestream")
	for _, file := range files() {
		if !slices.Contains(before, file) {
			t.Errorf("purged, the package leaves %s", file)
		}
	}
}
