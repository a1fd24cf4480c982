package stack

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"testing"

	"facestream/internal/cli"
	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

func TestParseUp(t *testing.T) {
	type ports = map[string]int
	for args, test := range map[string]struct {
		ports    ports
		services string
		addrs    state.Addrs
	}{
		"":                {nil, "kafka hdfs", state.Addrs{}},
		"kafka":           {ports{"kafka_port": 9092}, "kafka", state.Addrs{Kafka: "127.0.0.1:9092"}},
		"hdfs kafka hdfs": {ports{"kafka_port": 0, "web_port": 65535}, "hdfs kafka", state.Addrs{Web: "http://127.0.0.1:65535"}},
		"spark flink":     {ports{"spark_web_port": 2, "flink_port": 3}, "spark flink", state.Addrs{SparkWeb: "http://127.0.0.1:2", Flink: "127.0.0.1:3"}},
	} {
		wanted := map[string]*int{}
		for flag, port := range test.ports {
			wanted[flag] = &port
		}
		names, addrs, err := parseUp(strings.Fields(args), wanted)
		if err != nil || strings.Join(names, " ") != test.services || addrs != test.addrs {
			t.Errorf("up %s %v: %q, %+v, %v; want %s, %+v", args, test.ports, names, addrs, err, test.services, test.addrs)
		}
	}
}

// run runs the command and returns its status and what it printed. A state directory
// that is not empty is given to it.
func run(ctx context.Context, stateDir string, args ...string) (status int, out string) {
	if stateDir != "" {
		args = append(args, "--state_dir="+stateDir)
	}
	var b bytes.Buffer
	status = Command("facestream-stack").Main(ctx, args, &b, &b)
	return status, b.String()
}

func TestCommandLine(t *testing.T) {
	for line, want := range map[string]struct {
		status int
		says   string
	}{
		"":                        {cli.ExitUsage, "up, down, status, env or view"},
		"start":                   {cli.ExitUsage, `"start"`},
		"down kafka":              {cli.ExitUsage, `"kafka"`},
		"up storm":                {cli.ExitUsage, `"storm", but kdc, kafka, hdfs, flink, spark and yarn`},
		"up flink --spark_port=1": {cli.ExitUsage, "--spark_port is set, but only flink"},
		"up --kafka_port=65536":   {cli.ExitUsage, "65535"},
		"up --kafka_port=-1":      {cli.ExitUsage, "65535"},
		"up --state_dir=stack.go": {cli.ExitUsage, "stack.go is a file"},
		"--help":                  {0, "facestream-stack status "},
		"up --help":               {0, "-spark_web_port PORT"},
		"env --help":              {0, "SPARK_MASTER="},
		"down -h":                 {0, "-state_dir FOLDER"},
	} {
		if status, out := run(t.Context(), "", strings.Fields(line)...); status != want.status || !strings.Contains(out, want.says) {
			t.Errorf("stack %s: status %d and %q, want %+v", line, status, out, want)
		}
	}
}

// testStack is a stack that is down at the end of the test.
type testStack struct {
	*testing.T
	dir string // of the state
}

func newTestStack(t *testing.T) testStack {
	t.Helper()
	testkit.NotShort(t, "starts real services")
	s := testStack{t, t.TempDir()}
	t.Cleanup(func() { s.do(context.Background(), "down") })
	return s
}

// do runs the command, which must succeed, and returns what it printed.
func (s testStack) do(ctx context.Context, args ...string) string {
	s.Helper()
	status, out := run(ctx, s.dir, args...)
	if status != 0 {
		s.Errorf("stack %q: status %d: %s", args, status, out)
	}
	return out
}

// prints checks that the command prints all of this.
func (s testStack) prints(command string, want ...string) {
	s.Helper()
	out := s.do(s.Context(), command)
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.Errorf("%s does not hold %q: %s", command, w, out)
		}
	}
}

// processes returns the names and processes that the stack's state lists.
func (s testStack) processes() (names []string, procs []proc.Process) {
	s.Helper()
	stack := testkit.Value(state.Load(state.Dir(s.dir)))(s)
	for _, name := range append(slices.Clone(state.Services), state.View) {
		for _, p := range stack[name].Processes {
			names, procs = append(names, p.Name), append(procs, p)
		}
	}
	slices.Sort(names)
	return names, procs
}

func (s testStack) has(names ...string) []proc.Process {
	s.Helper()
	got, procs := s.processes()
	if !slices.Equal(got, names) {
		s.Fatalf("the processes are %q, want %q", got, names)
	}
	return procs
}

// end ends the process of a name.
func (s testStack) end(name string) {
	s.Helper()
	_, procs := s.processes()
	at := slices.IndexFunc(procs, func(p proc.Process) bool { return p.Name == name })
	testkit.Must(s, procs[at].End(0))
}

// ended checks that nothing is left of the processes, and nobody answers.
func (s testStack) ended(procs []proc.Process, addrs state.Addrs) {
	s.Helper()
	for _, p := range procs {
		if p.Alive() {
			s.Errorf("%s still runs", p.Name)
		}
	}
	for _, a := range state.Addresses {
		if ports.Reach(s.Context(), state.HostPort(*a.In(&addrs))) == nil {
			s.Errorf("somebody answers at %s", *a.In(&addrs))
		}
	}
}

func TestUpAndDown(t *testing.T) {
	s := newTestStack(t)
	testkit.Equal(t, "env before up", s.do(t.Context(), "env"), "")
	var wg sync.WaitGroup
	for range 2 { // two at once start one stack
		wg.Go(func() { s.do(t.Context(), "up") })
	}
	wg.Wait()
	before := s.has("datanode", "kafka", "namenode")
	addrs, _ := state.Running(s.dir)
	testkit.Equal(t, "env", s.do(t.Context(), "env"), "KAFKA="+addrs.Kafka+"\nHDFS="+addrs.HDFS+"\nHDFS_WEB="+addrs.Web+"\n")
	s.prints("status", "kafka is running at "+addrs.Kafka, addrs.Web+"/explorer.html", before[2].Log, "spark is not running")

	// What has died comes back with its data, at its place; the rest stays.
	testkit.Must(t, testservices.DialHDFS(t, addrs.HDFS, "alice").Mkdir("/user/alice", dirMode))
	s.end("datanode")
	left, _ := state.Running(s.dir)
	testkit.Equal(t, "what runs without the DataNode", left, addrs.Of(state.Kafka))
	s.prints("status", "hdfs is not running", "datanode: ended")
	s.do(t.Context(), "up", "hdfs")
	again, _ := state.Running(s.dir)
	testkit.Equal(t, "what runs after the second up", again, addrs)
	after := s.has("datanode", "kafka", "namenode")
	if after[0] != before[0] || after[1] == before[1] {
		t.Errorf("the processes were %+v and are %+v", before, after)
	}
	testkit.Value(testservices.DialHDFS(t, addrs.HDFS, "alice").Stat("/user/alice"))(t)
	if status, out := run(t.Context(), s.dir, "up", "--kafka_port=1"); status != cli.ExitFailed || !strings.Contains(out, addrs.Kafka) {
		t.Errorf("up elsewhere: status %d: %s", status, out)
	}

	// The pages are there once, and go with the rest.
	testkit.Value(paths.Programs(t.Context()))(t) // of which view starts one
	me := testkit.Value(user.Current())(t)
	if status, out := run(t.Context(), s.dir, "view"); status != cli.ExitFailed || !strings.Contains(out, "no run of facestream") {
		t.Errorf("view of nothing: status %d: %s", status, out)
	}
	testkit.Must(t, testservices.DialHDFS(t, addrs.HDFS, "alice").MkdirAll("/user/"+me.Username+"/faces/_windows", 0o777))
	for range 2 {
		address, _, _ := strings.Cut(strings.TrimPrefix(s.do(t.Context(), "view"), "to look at the faces: "), " ")
		resp := testkit.Value(http.Get(address))(t)
		resp.Body.Close()
		testkit.Equal(t, address, resp.StatusCode, http.StatusOK)
		s.prints("status", "view is running at "+strings.TrimSuffix(address, "/"))
	}
	pages := s.has("datanode", "kafka", "namenode", "view")

	s.do(t.Context(), "down")
	s.ended(slices.Concat(before, after, pages), addrs)
	testkit.Gives(os.ReadDir(s.dir))(t, "what is left in the state directory", nil)
	s.do(t.Context(), "down")
}

// A cluster is one service: without one of its processes it does not run.
func TestClustersInState(t *testing.T) {
	s := testStack{t, t.TempDir()}
	alive := testkit.Value(proc.NewProcess("jobmanager", os.Getpid(), "jobmanager.log"))(t)
	dead := alive
	dead.Name, dead.Born = "taskmanager-1", "before"
	addrs := state.Addrs{
		Flink: "127.0.0.1:1", FlinkWeb: "http://127.0.0.1:2", Spark: "127.0.0.1:3", SparkWeb: "http://127.0.0.1:4", SparkMaster: "spark://127.0.0.1:5",
	}
	save := func(flink ...proc.Process) {
		testkit.Must(t, state.Stack{
			state.Flink: {Addrs: addrs.Of(state.Flink), Ready: true, Processes: flink},
			state.Spark: {Addrs: addrs.Of(state.Spark), Ready: true},
		}.Save(state.Dir(s.dir)))
	}
	save(alive)
	s.prints("status", "flink is running at 127.0.0.1:1\n", "web pages http://127.0.0.1:2/\n", "spark is running at 127.0.0.1:3\n", "web pages http://127.0.0.1:4/\n", "kafka is not running")
	const spark = "SPARK_ENDPOINT=127.0.0.1:3\nSPARK_WEB=http://127.0.0.1:4\nSPARK_MASTER=spark://127.0.0.1:5\n"
	testkit.Equal(t, "env", s.do(t.Context(), "env"), "FLINK_ENDPOINT=127.0.0.1:1\nFLINK_WEB=http://127.0.0.1:2\n"+spark)
	save(alive, dead)
	s.prints("status", "flink is not running", "taskmanager-1: ended")
	testkit.Equal(t, "env without a TaskManager", s.do(t.Context(), "env"), spark)
}

func TestInterruptedUp(t *testing.T) {
	s := newTestStack(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	up := make(chan int)
	go func() {
		status, _ := run(ctx, s.dir, "up")
		up <- status
	}()
	testkit.Await(t, "a first process", func() bool {
		names, _ := s.processes()
		return len(names) > 0
	})
	interrupt()
	testkit.Equal(t, "the exit status", <-up, cli.ExitInterrupted)
	_, procs := s.processes() // there may be more than at the time of the signal
	s.ended(procs, state.Addrs{})
	if addrs, ok := state.Running(s.dir); ok {
		t.Errorf("what runs is %+v", addrs)
	}
}
