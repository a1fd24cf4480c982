package services

import (
	"context"
	"fmt"
	"path/filepath"

	"facestream/internal/jvm"
	"facestream/internal/rest"
	"facestream/internal/stack/state"
)

const (
	// workers is how many processes of a cluster run jobs, each with one slot.
	workers = 2

	jobManager     = "jobmanager"
	jobManagerHeap = "512m"
	taskHeap       = "1536m" // of a TaskManager: what its settings give to tasks and to the framework
)

// restartSettings have a job survive the loss of a TaskManager, which is seen before the last
// attempt: until then, what reads from it fails again and again.
const restartSettings = `
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 4 s
heartbeat.interval: 2000
heartbeat.timeout: 10000
`

// flinkSettings are config.yaml of the JobManager and the TaskManagers: with the host
// and the port of the JobManager, the port of its web pages, and the folder.
const flinkSettings = `
jobmanager.rpc.address: %[1]s
jobmanager.bind-host: %[1]s
jobmanager.rpc.port: %[2]s
rest.address: %[1]s
rest.bind-address: %[1]s
rest.port: %[3]s
rest.bind-port: %[3]s
io.tmp.dirs: %[4]s/tmp

# A window may pass through one slot: 256 MB of frames, which KafkaIO and Beam hold in
# the heap several times over. The sort before a GroupByKey uses managed memory, and
# goes to the disk beyond it. Off the heap are messages from and to the harnesses.
taskmanager.numberOfTaskSlots: 1
taskmanager.cpu.cores: 1.0
taskmanager.memory.task.heap.size: 1408m
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.task.off-heap.size: 512m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.network.min: 128m
taskmanager.memory.network.max: 128m
taskmanager.memory.managed.size: 512m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m

# Frames do not get smaller by it.
taskmanager.network.batch-shuffle.compression.enabled: false

# Of each attempt that finds too few slots.
slot.request.timeout: 60000

# The processes start together: ask often for the JobManager.
cluster.registration.error-delay: 200

# Beam is in the class path, not in the jobs: its threads go on using the class loader
# of the first job that they saw.
classloader.resolve-order: parent-first
classloader.check-leaked-classloader: false

# Of ended jobs that the web pages show. Jobs come from the job server.
jobstore.max-capacity: 100
web.submit.enable: false
security.delegation.tokens.enabled: false
` + restartSettings

// flinkPrograms are a JobManager, Beam's job server and two TaskManagers.
func flinkPrograms(s *Stack, dir string, o Options) ([]javaProgram, error) {
	conf := filepath.Join(dir, "conf")
	program := func(name, heap, class string, flags ...string) javaProgram {
		return javaProgram{
			name: name, classes: state.Flink, conf: conf, heap: heap, class: "org.apache.flink.runtime." + class,
			settings: map[string]string{"config.yaml": fmt.Sprintf(flinkSettings, o.hostOf(jobManager), portOf(o.jobManager), portOf(o.Addrs.FlinkWeb), dir)},
			args:     []string{"--configDir", conf},
			jvm:      append(append(flags, "-Dlog.file="+s.logPath(name)), jvm.AddOpens()...), // the web pages show the log
		}
	}
	server, err := jobServer(o, state.Flink, dir, o.Addrs.Flink, state.HostPort(o.Addrs.FlinkWeb))
	if err != nil {
		return nil, err
	}
	programs := []javaProgram{
		program(jobManager, jobManagerHeap, "entrypoint.StandaloneSessionClusterEntrypoint"), server,
	}
	for i := range workers {
		// Direct memory is what is off the heap, and the network's.
		task := program(fmt.Sprintf("taskmanager-%d", i+1), taskHeap, "taskexecutor.TaskManagerRunner",
			"-XX:MaxDirectMemorySize=768m", "-XX:MaxMetaspaceSize=256m")
		task.member = true
		at := o.hostOf(task.name)
		task.args = append([]string{"-Dtaskmanager.resource-id=" + task.name, "-Dtaskmanager.host=" + at, "-Dtaskmanager.bind-host=" + at}, task.args...)
		programs = append(programs, task)
	}
	return programs, nil
}

// taskManagers returns the addresses of TaskManagers with slots, for seconds of dead ones, too.
func taskManagers(ctx context.Context, a state.Addrs) ([]string, error) {
	var all struct {
		TaskManagers []struct {
			Path  string
			Slots int `json:"slotsNumber"`
		}
	}
	if err := rest.Get(ctx, a.FlinkWeb+"/taskmanagers", &all); err != nil {
		return nil, err
	}
	var addrs []string
	for _, m := range all.TaskManagers {
		if m.Slots > 0 {
			addrs = append(addrs, m.Path)
		}
	}
	return addrs, nil
}
