package main

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"facestream/internal/camera"
	"facestream/internal/cli"
	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/hdfs"
)

// secured are a Kafka that wants a password over TLS and an HDFS that wants a ticket and
// encrypts everything, with 20 frames in a topic, and their secrets.
type secured struct {
	*services.Stack
	*seeker
	password string
	kafka    []string // flags
}

// startSecured starts them, and whatever else there is to be with them.
func startSecured(t *testing.T, o services.Options) *secured {
	t.Helper()
	o.KDC, o.Kafka, o.HDFS = true, true, true
	stack := testservices.Own(t, o)
	t.Setenv("KRB5_CONFIG", stack.Secret(services.Krb5Config))
	t.Setenv("HADOOP_CONF_DIR", stack.HadoopConfig())
	t.Setenv(hdfs.SecurityEnv, "") // restored in the end
	config := stack.Secret(services.KafkaConfig)
	_, password, _ := strings.Cut(string(testkit.ReadFile(t, config)), `password="`)
	password, _, _ = strings.Cut(password, `"`)
	keytab := testkit.ReadFile(t, stack.Secret(services.UserKeytab))
	s := &secured{
		stack, &seeker{secrets: []string{password, string(keytab[len(keytab)-36 : len(keytab)-4])}}, // the number of the key follows it
		password, []string{"--kafka=" + stack.Kafka, "--kafka_config=" + config},
	}
	// What is looked for can be found.
	if s.leaks(string(testkit.ReadFile(t, config))) == "" || s.leaks(string(keytab)) == "" || len(password) < 20 {
		t.Fatalf("looking for %q", s.secrets)
	}
	s.command(t, camera.Command("camera"), append(s.kafka, "--topic=frames", "--frames=20")...)
	return s
}

// command runs a command, which must succeed.
func (s *secured) command(t *testing.T, c cli.Command, args ...string) {
	t.Helper()
	said := saidBy(t.Context(), t, c, 0, "", args...)
	if leaks := s.leaks(said); leaks != "" {
		t.Errorf("%q says %q", args, leaks)
	}
	t.Log(said)
}

// endpoints are flags of every command that looks at what a group has stored.
func (s *secured) endpoints(dir, group string) []string {
	return append(s.kafka, "--topics=frames", "--group="+group, "--state_dir="+dir, "--output="+s.HDFS+"/user/"+services.User+"/"+group,
		"--kerberos_principal="+services.User, "--kerberos_keytab="+s.Secret(services.UserKeytab))
}

// run makes a run of a group, and verifies it. No log or process list has a secret.
func (s *secured) run(t *testing.T, group string, flags ...string) {
	t.Helper()
	dir := t.TempDir()
	endpoints := s.endpoints(dir, group)
	processes := s.watch(t)
	s.command(t, program(), slices.Concat(endpoints, flags, testkit.Quick, []string{"--duration=2m", "--drain", "--summary=" + filepath.Join(dir, "summary")})...)
	if seen := processes(); seen == 0 {
		t.Error("no process was seen")
	}
	if summary := string(testkit.ReadFile(t, filepath.Join(dir, "summary"))); !strings.Contains(summary, `"records_read": 20,`) {
		t.Errorf("%s: summary %s, want 20 records", group, summary)
	}
	s.command(t, program(), append([]string{"verify"}, endpoints...)...)
	for file, data := range localFiles(t, dir) {
		if leaks := s.leaks(string(data)); leaks != "" {
			t.Errorf("%s: %s has %q", group, file, leaks)
		}
	}
}

// The whole job between secured services. No log, process list or web page has the password
// or the key of the keytab.
func TestSecuredServices(t *testing.T) {
	s := startSecured(t, services.Options{})
	dir := t.TempDir()
	check := append([]string{"check"}, s.endpoints(dir, "frames")...)
	s.command(t, program(), check...)
	wrong := filepath.Join(dir, "wrong.properties")
	testkit.WriteFile(t, wrong, bytes.ReplaceAll(testkit.ReadFile(t, s.Secret(services.KafkaConfig)), []byte(s.password), []byte("guess")))
	said(t, 1, "does not take the user and the password in sasl.jaas.config\n", append(check, "--kafka_config="+wrong)...)
	begin := time.Now()
	s.run(t, "prism")
	if !testkit.All() {
		return
	}
	addrs := testservices.Start(t, services.Options{Flink: true, Spark: true})
	s.run(t, "flink", "--runner=flink", "--master="+strings.TrimPrefix(addrs.FlinkWeb, "http://"))
	s.run(t, "spark", "--runner=spark", "--master="+addrs.SparkMaster)
	s.crawl(t, addrs.FlinkWeb, "face.Detect", flinkPages(t, addrs.FlinkWeb, begin)...)
	s.crawl(t, addrs.SparkWeb, "Completed Applications", "/", "/json/")
}

// YARN with Kerberos has applications of Spark, and a session of Flink that has a keytab.
func TestSecuredYARN(t *testing.T) {
	testkit.OnlyInAll(t)
	s := startSecured(t, services.Options{YARN: true})
	t.Setenv("HADOOP_CONF_DIR", s.YARNConfig())
	s.run(t, "spark", "--runner=spark", "--master=yarn", "--parallelism=1", "--worker="+testkit.Value(os.Executable())(t))
	testkit.Value(s.FlinkOnYARN(t.Context()))(t)
	s.run(t, "flink", "--runner=flink", "--master=yarn", "--parallelism=1")
	s.crawl(t, s.YARNWeb, "application_", "/cluster/apps", "/ws/v1/cluster/apps", "/conf")
}

// flinkPages are those of Flink about jobs since a time, and its logs.
func flinkPages(t *testing.T, web string, since time.Time) []string {
	t.Helper()
	pages := []string{"/jobmanager/config", "/jobmanager/log", "/jobmanager/stdout"}
	var all struct {
		Jobs []struct {
			JID   string
			Start int64 `json:"start-time"`
		}
		TaskManagers []struct{ ID string }
	}
	testkit.GetJSON(t, web+"/jobs/overview", &all)
	testkit.GetJSON(t, web+"/taskmanagers", &all)
	for _, job := range all.Jobs {
		if job.Start >= since.UnixMilli() {
			for _, page := range []string{"", "/config", "/plan", "/exceptions"} {
				pages = append(pages, "/jobs/"+job.JID+page)
			}
		}
	}
	for _, m := range all.TaskManagers {
		pages = append(pages, "/taskmanagers/"+m.ID+"/log", "/taskmanagers/"+m.ID+"/stdout")
	}
	return pages
}

// seeker looks for secrets.
type seeker struct{ secrets []string }

// leaks returns the secret that a text has, or nothing.
func (s *seeker) leaks(text string) string {
	for _, secret := range s.secrets {
		if strings.Contains(text, secret) {
			return secret
		}
	}
	return ""
}

// watch looks at the command lines of all processes until the function that it returns is
// called, which returns how many it saw.
func (s *seeker) watch(t *testing.T) (end func() int) {
	stop, seen := make(chan struct{}), make(chan int)
	go func() {
		pids := map[int]bool{}
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		for {
			all, err := proc.All()
			if err != nil {
				t.Error(err)
			}
			for _, p := range all {
				if pids[p.PID] = true; s.leaks(strings.Join(p.Args, " ")) != "" {
					t.Errorf("process %d has a secret in its command line", p.PID)
				}
			}
			select {
			case <-stop:
				seen <- len(pids)
				return
			case <-again.C:
			}
		}
	}()
	return func() int { close(stop); return <-seen }
}

var link = regexp.MustCompile(`href="([^"#]+)"`)

// crawl reads pages and what they link to on this machine; one must have the given text.
func (s *seeker) crawl(t *testing.T, web, text string, paths ...string) {
	t.Helper()
	const most = 300
	base := testkit.Value(url.Parse(web))(t)
	seen, found := map[string]bool{}, false
	for ; len(paths) > 0 && len(seen) < most; paths = paths[1:] {
		at, err := base.Parse(paths[0])
		if err != nil || at.Hostname() != base.Hostname() || seen[at.String()] {
			continue
		}
		seen[at.String()] = true
		answer, err := http.Get(at.String())
		if err != nil {
			continue // a page that has gone
		}
		data, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		testkit.Must(t, err)
		if leaks := s.leaks(string(data)); leaks != "" {
			t.Errorf("%s shows %q", at, leaks)
		}
		found = found || strings.Contains(string(data), text)
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if to, err := at.Parse(strings.ReplaceAll(m[1], "&amp;", "&")); err == nil {
				paths = append(paths, to.String())
			}
		}
	}
	if !found {
		t.Errorf("none of %d pages of %s has %q", len(seen), web, text)
	}
}
