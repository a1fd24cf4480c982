package services

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

// workers is how many processes of a cluster run jobs, each with one slot.
const workers = 2

// The memory of a TaskManager in MB. A window may pass through one slot: 256 MB
// of frames, which KafkaIO and Beam hold in the heap several times over. The
// sort before a GroupByKey uses managed memory, and goes to the disk beyond it.
const (
	taskHeap      = 1536
	frameworkHeap = 128 // of the heap, not for tasks
	taskOffHeap   = 512 // messages on their way from and to the harnesses
	frameworkOff  = 128
	network       = 128 // between the slots
	managed       = 512
	metaspace     = 256
	jvmOverhead   = 192

	jobManagerHeap = "512m"
)

// flinkSettings are config.yaml of the JobManager and the TaskManagers.
func flinkSettings(dir, web, jobManager string) (string, error) {
	webPort, err := portOf(web)
	if err != nil {
		return "", err
	}
	port, err := portOf(jobManager)
	if err != nil {
		return "", err
	}
	const host = "127.0.0.1"
	megabytes := func(n int) string { return strconv.Itoa(n) + "m" }
	settings := [][2]string{
		{"jobmanager.rpc.address", host},
		{"jobmanager.rpc.port", strconv.Itoa(port)},
		{"jobmanager.bind-host", host},
		{"rest.address", host},
		{"rest.bind-address", host},
		{"rest.bind-port", strconv.Itoa(webPort)},
		{"rest.port", strconv.Itoa(webPort)},
		{"taskmanager.host", host},
		{"taskmanager.bind-host", host},

		{"taskmanager.numberOfTaskSlots", "1"},
		{"taskmanager.cpu.cores", "1.0"},
		{"taskmanager.memory.task.heap.size", megabytes(taskHeap - frameworkHeap)},
		{"taskmanager.memory.framework.heap.size", megabytes(frameworkHeap)},
		{"taskmanager.memory.task.off-heap.size", megabytes(taskOffHeap)},
		{"taskmanager.memory.framework.off-heap.size", megabytes(frameworkOff)},
		{"taskmanager.memory.network.min", megabytes(network)},
		{"taskmanager.memory.network.max", megabytes(network)},
		{"taskmanager.memory.managed.size", megabytes(managed)},
		{"taskmanager.memory.jvm-metaspace.size", megabytes(metaspace)},
		{"taskmanager.memory.jvm-overhead.min", megabytes(jvmOverhead)},
		{"taskmanager.memory.jvm-overhead.max", megabytes(jvmOverhead)},

		// Frames do not get smaller by it.
		{"taskmanager.network.batch-shuffle.compression.enabled", "false"},

		// A job survives the loss of a TaskManager, and the loss is seen soon.
		{"restart-strategy.type", "fixed-delay"},
		{"restart-strategy.fixed-delay.attempts", "3"},
		{"restart-strategy.fixed-delay.delay", "1 s"},
		{"heartbeat.interval", "2000"},
		{"heartbeat.timeout", "10000"},
		{"slot.request.timeout", "60000"}, // of each attempt that finds too few slots

		// The processes start together: ask often for the JobManager.
		{"cluster.registration.error-delay", "200"},

		// Beam is in the class path, not in the jobs: its threads go on using
		// the class loader of the first job that they saw.
		{"classloader.resolve-order", "parent-first"},
		{"classloader.check-leaked-classloader", "false"},

		{"io.tmp.dirs", filepath.Join(dir, "tmp")},
		{"jobstore.max-capacity", "100"}, // of ended jobs that the web pages show
		{"web.submit.enable", "false"},   // jobs come from the job server
		{"security.delegation.tokens.enabled", "false"},
	}
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "%s: %s\n", s[0], s[1])
	}
	return b.String(), nil
}

// startFlink starts a JobManager, two TaskManagers and Beam's job server in dir
// and waits until they work together. What dir holds is removed: a new cluster
// knows nothing of an earlier one's jobs.
func startFlink(ctx context.Context, c *children, dir, addr, web, jobManager string, check *check) error {
	classPath, err := paths.ClassPath(state.Flink)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, dirMode); err != nil {
		return err
	}
	settings, err := flinkSettings(dir, web, jobManager)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(conf, "config.yaml"), []byte(settings), fileMode); err != nil {
		return err
	}
	program := javaProgram{
		service: state.Flink, conf: conf, classPath: classPath, jvm: jvm.AddOpens(),
		args: []string{"--configDir", conf},
	}
	manager := program
	manager.name, manager.role, manager.heap = "jobmanager", head, jobManagerHeap
	manager.class = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
	programs := []javaProgram{manager}
	for i := range workers {
		task := program
		task.name, task.role = fmt.Sprintf("taskmanager-%d", i+1), member
		task.heap = fmt.Sprintf("%dm", taskHeap)
		task.jvm = append([]string{
			fmt.Sprintf("-XX:MaxDirectMemorySize=%dm", taskOffHeap+frameworkOff+network),
			fmt.Sprintf("-XX:MaxMetaspaceSize=%dm", metaspace),
		}, program.jvm...)
		task.class = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
		task.args = append([]string{"-Dtaskmanager.resource-id=" + task.name}, program.args...)
		programs = append(programs, task)
	}
	var procs []*child
	for _, p := range programs {
		p.jvm = slices.Concat(p.jvm, []string{"-Dlog.file=" + c.logPath(p.name)}) // for the web pages
		proc, err := c.start(p)
		if err != nil {
			return err
		}
		procs = append(procs, proc)
	}
	server, err := startJobServer(c, state.Flink, dir, addr, web)
	if err != nil {
		return err
	}
	return until(ctx, check.what, func(ctx context.Context) error {
		if err := tryFlink(ctx, web); err != nil {
			return err
		}
		return check.works(ctx)
	}, append(procs, server)...)
}

// tryFlink asks the JobManager whether all slots are there, and free.
func tryFlink(ctx context.Context, web string) error {
	var cluster struct {
		TaskManagers int `json:"taskmanagers"`
		Slots        int `json:"slots-total"`
		Free         int `json:"slots-available"`
	}
	if err := getJSON(ctx, "http://"+web+"/overview", &cluster); err != nil {
		return err
	}
	if cluster.TaskManagers != workers || cluster.Slots != workers || cluster.Free != workers {
		return fmt.Errorf("the cluster has %d TaskManagers with %d slots, %d of them free; want %d of each",
			cluster.TaskManagers, cluster.Slots, cluster.Free, workers)
	}
	return nil
}

// taskManagers asks the JobManager which TaskManagers have registered, and
// returns their addresses. One that has died is among them for seconds.
func taskManagers(ctx context.Context, web string) ([]string, error) {
	var all struct {
		TaskManagers []struct{ Path string }
	}
	if err := getJSON(ctx, "http://"+web+"/taskmanagers", &all); err != nil {
		return nil, err
	}
	var addrs []string
	for _, m := range all.TaskManagers {
		addrs = append(addrs, m.Path)
	}
	return addrs, nil
}

// getJSON decodes what a web page answers.
func getJSON(ctx context.Context, url string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading %s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(to)
}
