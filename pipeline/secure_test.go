package main

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"facestream/internal/camera"
	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/hdfs"
)

// The whole job between a Kafka that wants a password over TLS and an HDFS that wants a
// ticket and encrypts everything. No log, process list or web page has the password or the key
// of the keytab.
func TestSecuredServices(t *testing.T) {
	stack := testservices.Own(t, services.Options{KDC: true, Kafka: true, HDFS: true})
	t.Setenv("KRB5_CONFIG", stack.Secret(services.Krb5Config))
	t.Setenv("HADOOP_CONF_DIR", stack.HadoopConfig())
	t.Setenv(hdfs.SecurityEnv, "") // restored in the end
	config := stack.Secret(services.KafkaConfig)
	_, password, _ := strings.Cut(string(testkit.ReadFile(t, config)), `password="`)
	password, _, _ = strings.Cut(password, `"`)
	keytab := testkit.ReadFile(t, stack.Secret(services.UserKeytab))
	s := &seeker{secrets: []string{password, string(keytab[len(keytab)-36 : len(keytab)-4])}} // the number of the key follows it
	// What is looked for can be found.
	if s.leaks(string(testkit.ReadFile(t, config))) == "" || s.leaks(string(keytab)) == "" || len(password) < 20 {
		t.Fatalf("looking for %q", s.secrets)
	}

	kafka := []string{"--kafka=" + stack.Kafka, "--kafka_config=" + config}
	command := func(program func(args []string, out io.Writer) int, args ...string) {
		t.Helper()
		var said strings.Builder
		if status := program(args, &said); status != 0 {
			t.Fatalf("%q: status %d: %s", args, status, said.String())
		}
		if leaks := s.leaks(said.String()); leaks != "" {
			t.Errorf("%q says %q", args, leaks)
		}
		t.Log(said.String())
	}
	command(func(args []string, out io.Writer) int {
		return camera.Command("camera").Main(t.Context(), args, out, out)
	},
		append(kafka, "--topic=frames", "--frames=20")...)
	facestream := func(args []string, out io.Writer) int { return program().Main(t.Context(), args, out, out) }

	begin := time.Now()
	clusters := [][]string{{"--runner=" + runners.Prism}}
	var addrs state.Addrs
	if testkit.All() {
		addrs = testservices.Start(t, services.Options{Flink: true, Spark: true})
		clusters = append(clusters,
			[]string{"--runner=" + runners.Flink, "--master=" + strings.TrimPrefix(addrs.FlinkWeb, "http://")},
			[]string{"--runner=" + runners.Spark, "--master=" + addrs.SparkMaster})
	}
	for i, cluster := range clusters {
		name := strings.TrimPrefix(cluster[0], "--runner=")
		dir := t.TempDir()
		endpoints := append(kafka, "--topics=frames", "--group="+name, "--state_dir="+dir, "--output="+stack.HDFS+"/user/"+services.User+"/"+name,
			"--kerberos_principal="+services.User, "--kerberos_keytab="+stack.Secret(services.UserKeytab))
		run := slices.Concat(endpoints, cluster, testkit.Quick, []string{"--duration=2m", "--drain", "--summary=" + filepath.Join(dir, "summary")})
		if i == 0 {
			command(facestream, append([]string{"check"}, run...)...)
			wrong := filepath.Join(dir, "wrong.properties")
			testkit.WriteFile(t, wrong, bytes.ReplaceAll(testkit.ReadFile(t, config), []byte(password), []byte("guess")))
			var said strings.Builder
			status := facestream(append([]string{"check", kafka[0], "--kafka_config=" + wrong}, run[len(kafka):]...), &said)
			if want := "does not take the user and the password in sasl.jaas.config\n"; status != 1 || !strings.Contains(said.String(), want) {
				t.Errorf("check with a wrong password: status %d: %s; want %q in it", status, said.String(), want)
			}
		}
		processes := s.watch(t)
		command(facestream, run...)
		if seen := processes(); seen == 0 {
			t.Error("no process was seen")
		}
		if summary := string(testkit.ReadFile(t, filepath.Join(dir, "summary"))); !strings.Contains(summary, `"records_read": 20,`) {
			t.Errorf("%s: summary %s, want 20 records", name, summary)
		}
		command(facestream, append([]string{"verify"}, endpoints...)...)
		for file, data := range localFiles(t, dir) {
			if leaks := s.leaks(string(data)); leaks != "" {
				t.Errorf("%s: %s has %q", name, file, leaks)
			}
		}
	}
	if addrs.FlinkWeb != "" {
		s.crawl(t, addrs.FlinkWeb, "face.Detect", flinkPages(t, addrs.FlinkWeb, begin)...)
		s.crawl(t, addrs.SparkWeb, "Completed Applications", "/", "/json/")
	}
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
