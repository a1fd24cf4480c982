package runners_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/internal/yarnrm"
	"facestream/runners"
)

// clusters are the engines that have clusters.
var clusters = []string{runners.Flink, runners.Spark}

// realClusters returns the addresses of a real Flink and a real Spark.
func realClusters(t *testing.T) state.Addrs {
	t.Helper()
	return testservices.Start(t, services.Options{Flink: true, Spark: true})
}

// onCluster is the configuration for a cluster. This test program is the worker
// on its nodes.
func onCluster(t *testing.T, name string, addrs state.Addrs) runners.Config {
	t.Helper()
	self := testkit.Value(os.Executable())(t)
	c := runners.Config{Dir: t.TempDir(), Name: name, Worker: self}
	switch name {
	case runners.Flink:
		c.Endpoint, c.Parallelism = addrs.Flink, 2
	case runners.Spark:
		c.Endpoint = addrs.Spark
	}
	return c
}

// Without an endpoint, the runner brings a job server and a cluster of its own,
// and takes all of it away.
func TestLocalCluster(t *testing.T) {
	testkit.NotShort(t, "starts job servers")
	for _, name := range clusters {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := testkit.Value(runners.Open(t.Context(), runners.Config{Dir: dir, Name: name, Parallelism: 2}))(t)
			testRunFails(t, r)
			testRunIsCancelled(t, r)
			r.Close()
			left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
			if left := testkit.Processes(t, func(p proc.Running) bool { return p.Parent == os.Getpid() && p.Has("JobServerDriver") }); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// On a cluster of several processes, a job's failure says why, and a cancelled
// job does not run on.
func TestCluster(t *testing.T) {
	addrs := realClusters(t)
	for _, name := range clusters {
		t.Run(name, func(t *testing.T) {
			r := open(t, onCluster(t, name, addrs))
			testRunFails(t, r)
			testRunIsCancelled(t, r)
			// Nothing of it may be left, neither there nor on the nodes.
			self := testkit.Value(os.Executable())(t)
			worker := func(p proc.Running) bool {
				return p.Args[0] == self && len(p.Args) > 1 && strings.HasPrefix(p.Args[1], "--id=")
			}
			testkit.Await(t, "the end of the jobs and of their workers", func() bool {
				return len(testservices.Jobs(t, addrs))+len(testkit.Processes(t, worker)) == 0
			})
		})
	}
}

// On YARN, a run on Spark is an application, which ends with the run. A job's failure says
// where the containers' logs are.
func TestYARN(t *testing.T) {
	addrs := testservices.Start(t, services.Options{HDFS: true})
	stack := testservices.Own(t, services.Options{YARN: true, Files: addrs.HDFS})
	t.Setenv("HADOOP_CONF_DIR", stack.YARNConfig())
	c := runners.Config{Dir: t.TempDir(), Name: runners.Spark, Master: runners.YARN, User: "erin"}
	if n, says, err := runners.AskYARN(t.Context(), c); err != nil || n != 6 || !strings.Contains(says, "room for 6 executors of 1536 MB") {
		t.Errorf("of its room YARN says %d, %q, %v", n, says, err)
	}
	c.Worker, c.Parallelism = testkit.Value(os.Executable())(t), 1
	r := open(t, c)
	testFailsOnYARN(t, r, "erin")
	testRunIsCancelled(t, r)
	r.Close()
	testkit.Await(t, "the end of the application", func() bool {
		apps := testkit.Value(yarnrm.Applications(t.Context(), stack.YARNWeb, nil))(t)
		return len(apps) == 1 && apps[0].State == "FINISHED"
	})

	// Without room, nothing is submitted, unless the run is to wait for it.
	c.MaxBytes = 4 << 30
	if n, _, err := runners.AskYARN(t.Context(), c); err != nil || n != 0 {
		t.Errorf("of its room YARN says %d, %v", n, err)
	}
	c.Parallelism = 0
	_, err := runners.Open(t.Context(), c)
	testkit.Says(t, "without room", err, "wait, or give --parallelism")
	_, err = runners.Open(t.Context(), runners.Config{Dir: t.TempDir(), Name: runners.Flink, Master: runners.YARN})
	testkit.Says(t, "without a session", err, "yarn-session.sh")
}

// A session of Flink on YARN outlives its jobs, those that fail and those that are cancelled.
func TestFlinkOnYARN(t *testing.T) {
	testkit.OnlyInAll(t)
	addrs := testservices.Start(t, services.Options{HDFS: true})
	stack := testservices.Own(t, services.Options{YARN: true, Files: addrs.HDFS})
	t.Setenv("HADOOP_CONF_DIR", stack.YARNConfig())
	web := testkit.Value(stack.FlinkOnYARN(t.Context()))(t)
	r := open(t, runners.Config{Dir: t.TempDir(), Name: runners.Flink, Master: runners.YARN, Worker: testkit.Value(os.Executable())(t), Parallelism: 1})
	testFailsOnYARN(t, r, "hdfs")
	testRunIsCancelled(t, r)
	r.Close()
	var all struct{ Jobs []struct{ State string } }
	testkit.GetJSON(t, web+"/jobs/overview", &all)
	if got := fmt.Sprint(all.Jobs); got != "[{CANCELED} {FAILED}]" && got != "[{FAILED} {CANCELED}]" {
		t.Errorf("the session's jobs are %s, want one that has failed and one that is cancelled", got)
	}
}

// testFailsOnYARN has a job fail, whose error must say where its containers' logs are.
func testFailsOnYARN(t *testing.T, r runners.Runner, user string) {
	t.Helper()
	testkit.Says(t, "a failed job", runs(t, r, fail, "fails"), "made of cheese", "yarn logs -applicationId application_", "-appOwner "+user)
}

// Of several sessions of Flink on YARN, one must be chosen.
func TestSessionsOnYARN(t *testing.T) {
	rm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"apps":{"app":[{"id":"application_1","amRPCAddress":"h:1","user":"amy","name":"x"},{"id":"application_2","amRPCAddress":"h:2"}]}}`)
	}))
	defer rm.Close()
	conf := t.TempDir()
	testkit.WriteFile(t, filepath.Join(conf, "yarn-site.xml"), fmt.Appendf(nil,
		"<configuration><property><name>yarn.resourcemanager.webapp.address</name><value>%s</value></property></configuration>", strings.TrimPrefix(rm.URL, "http://")))
	t.Setenv("HADOOP_CONF_DIR", conf)
	_, err := runners.AskFlink(t.Context(), runners.YARN)
	testkit.Says(t, "two sessions", err, `give --master=h:1 for application_1 of amy, "x", or --master=h:2 for application_2`)
	t.Setenv("HADOOP_CONF_DIR", t.TempDir())
	_, err = runners.AskFlink(t.Context(), runners.YARN)
	testkit.Says(t, "no settings", err, "set HADOOP_CONF_DIR")
}

// A worker that is another build than this program refuses to work, and the job's error
// says so.
func TestWorkerOfAnotherBuild(t *testing.T) {
	addrs := realClusters(t)
	c := onCluster(t, runners.Flink, addrs)
	program := testkit.ReadFile(t, c.Worker)
	at := bytes.Index(program, []byte("Go\x00\x00")) // of the note with the build id
	if at < 0 {
		t.Fatal("this program has no build id")
	}
	program[at+len("Go\x00\x00")] ^= 1
	other := filepath.Join(t.TempDir(), "other")
	testkit.Must(t, os.WriteFile(other, program, 0o755))
	for _, name := range clusters {
		c := onCluster(t, name, addrs)
		c.Worker = other
		err := runs(t, open(t, c), succeed, "another-build")
		testkit.Says(t, name, err, "the worker "+other+" is another build")
		mustBeShort(t, err)
	}
}

// The options reach Flink: those that the Go SDK knows nothing of, too.
func TestFlinkOptions(t *testing.T) {
	addrs := realClusters(t)
	c := onCluster(t, runners.Flink, addrs)
	// Flink takes checkpoints of streaming jobs only.
	c.Options = map[string]string{"checkpointing_interval": "123456", "max_bundle_size": "77", "streaming": "true", "shutdown_sources_after_idle_ms": "100"}
	c.MaxBytes = 640 << 20
	id, config := runsOnFlink(t, c, addrs)
	testkit.Equal(t, "the parallelism", config.Parallelism, 2)
	testkit.Equal(t, "the size of bundles", config.User["maxBundleSize"], "77")
	var checkpoints struct{ Interval int }
	testkit.GetJSON(t, addrs.FlinkWeb+"/jobs/"+id+"/checkpoints/config", &checkpoints)
	testkit.Equal(t, "the time between checkpoints", checkpoints.Interval, 123456)
}

// Without a number of slots, a job uses all that the cluster has: where the cluster is
// named, and where only its job server is.
func TestFlinkUsesAllSlots(t *testing.T) {
	addrs := realClusters(t)
	for about, c := range map[string]runners.Config{
		"endpoint": {Endpoint: addrs.Flink},
		"master":   {Master: state.HostPort(addrs.FlinkWeb)},
	} {
		c.Name, c.Dir, c.Worker = runners.Flink, t.TempDir(), onCluster(t, runners.Flink, addrs).Worker
		if _, config := runsOnFlink(t, c, addrs); config.Parallelism != 2 {
			t.Errorf("%s: parallelism %d, want both slots", about, config.Parallelism)
		}
	}
	want := runners.JobServer{Engine: runners.Flink, Master: state.HostPort(addrs.FlinkWeb)}
	testkit.Await(t, "the job server, idle", func() bool {
		got, err := runners.AskJobServer(t.Context(), runners.Config{Endpoint: addrs.Flink})
		return err == nil && got == want
	})
}

// The slots of Spark are counted where nobody says how many there are.
func TestSparkSlots(t *testing.T) {
	addrs := realClusters(t)
	for about, tc := range map[string]struct {
		config runners.Config
		want   int
	}{
		"endpoint": {runners.Config{Endpoint: addrs.Spark}, 2},
		"master":   {runners.Config{Master: addrs.SparkMaster}, 2},
		"in one process, with more than this machine's cores": {runners.Config{Master: fmt.Sprintf("local[%d]", runtime.NumCPU()+3), DriverHost: "127.0.0.1"}, runtime.NumCPU() + 3},
	} {
		t.Run(about, func(t *testing.T) { // with its runner ends what holds the cluster's slots
			c := tc.config
			c.Name, c.Dir, c.Worker = runners.Spark, t.TempDir(), onCluster(t, runners.Spark, addrs).Worker
			testkit.Gives(open(t, c).Slots(t.Context()))(t, "slots", tc.want)
		})
	}
}

// flinkConfig is what Flink says of a job's settings.
type flinkConfig struct {
	Parallelism int               `json:"job-parallelism"`
	User        map[string]string `json:"user-config"`
}

// runsOnFlink runs a job, and returns what Flink's id and settings of it are.
func runsOnFlink(t *testing.T, c runners.Config, addrs state.Addrs) (id string, config flinkConfig) {
	t.Helper()
	name := fmt.Sprint("job-", time.Now().UnixNano())
	testkit.Must(t, runs(t, open(t, c), succeed, name))
	var all struct {
		Jobs []struct{ JID, Name string }
	}
	testkit.GetJSON(t, addrs.FlinkWeb+"/jobs/overview", &all)
	for _, job := range all.Jobs {
		if strings.HasPrefix(job.Name, name+"-") {
			var of struct {
				Execution flinkConfig `json:"execution-config"`
			}
			testkit.GetJSON(t, addrs.FlinkWeb+"/jobs/"+job.JID+"/config", &of)
			return job.JID, of.Execution
		}
	}
	t.Fatalf("Flink knows no job %s, but %+v", name, all)
	return "", config
}

// An option that the job server does not know is refused by name.
func TestUnknownOption(t *testing.T) {
	addrs := realClusters(t)
	for _, name := range clusters {
		c := onCluster(t, name, addrs)
		c.Options = map[string]string{"max_bundle_sizes": "1"}
		_, opened := runners.Open(t.Context(), c)
		_, asked := runners.AskJobServer(t.Context(), c)
		for _, err := range []error{opened, asked} {
			if !errors.Is(err, runners.ErrUnknownOption) || !strings.Contains(err.Error(), "max_bundle_sizes") {
				t.Errorf("%s: error %.200v, want one that names the option", name, err)
			}
		}
	}
}

// What can be seen of job servers and clusters without running a job.
func TestAsk(t *testing.T) {
	addrs := realClusters(t)
	for _, name := range clusters {
		c := onCluster(t, name, addrs)
		// The one for Flink learns of a job's end later than who has run it.
		testkit.Await(t, "the job server of "+name+", idle", func() bool {
			got, err := runners.AskJobServer(t.Context(), c)
			return err == nil && got.Engine == name && got.Job == ""
		})
	}
	rest := state.HostPort(addrs.FlinkWeb)
	flink, err := runners.AskFlink(t.Context(), rest)
	if err != nil || !strings.HasPrefix(flink.Version, runners.FlinkVersion) || flink.TaskManagers != 2 || flink.Slots != 2 {
		t.Errorf("%+v, %v, want two TaskManagers with a slot each", flink, err)
	}
	// Three attempts of a second each were over before a dead TaskManager was noticed.
	testkit.Gives(runners.AskRestarts(t.Context(), rest))(t, "what is to be changed", "")
	testkit.Must(t, runners.AskSpark(t.Context(), state.HostPort(addrs.SparkMaster)))
	_, err = runners.AskFlink(t.Context(), state.HostPort(addrs.SparkWeb))
	testkit.Says(t, "Spark's pages", err, state.HostPort(addrs.SparkWeb))
}

// The Java programs of this machine, as scripts/setup.sh installs them.
func TestJava(t *testing.T) {
	program, version, err := runners.Java(t.Context())
	if err != nil || !filepath.IsAbs(program) || !strings.HasPrefix(version, fmt.Sprint(runners.JavaVersion, ".")) {
		t.Errorf("%s, %s, %v, want Java %d", program, version, err, runners.JavaVersion)
	}
	for _, tc := range []struct {
		config       runners.Config
		ownExpansion bool
		want         string
	}{
		{runners.Config{Name: runners.Direct}, false, "[]"},
		{runners.Config{Name: runners.Prism}, false, "[]"},
		{runners.Config{Name: runners.Prism}, true, "[beam 2.62.0]"},
		{runners.Config{Name: runners.Flink}, true, "[beam 2.62.0 flink 2.62.0]"},
		{runners.Config{Name: runners.Spark, Endpoint: "h:1"}, true, "[beam 2.62.0]"},
		{runners.Config{Name: runners.Spark, Master: "spark://h:1"}, false, "[spark 2.62.0]"},
	} {
		found, err := runners.Parts(tc.config, tc.ownExpansion)
		if err != nil || fmt.Sprint(found) != tc.want || runners.NeedsJava(tc.config, tc.ownExpansion) != (len(found) > 0) {
			t.Errorf("%+v: %v, %v, want %s", tc.config, found, err, tc.want)
		}
	}
}
