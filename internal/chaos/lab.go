package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/audit"
	"facestream/internal/paths"
	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/wait"
	"facestream/runners"
)

const (
	dirMode = 0o755

	// The programs.
	pipeline = "pipeline"
	camera   = "camera"

	topic      = "soak"
	partitions = 4
	user       = "soak" // Hadoop's
	slots      = 2      // of each cluster

	maxProblems = 10 // that a person is shown of each pipeline

	goneLimit = 15 * time.Second // until what was ended has ended
	gonePoll  = 20 * time.Millisecond
)

// bad are records of which no picture comes: the first two are skipped, the others are
// rejected.
var bad = [][]byte{nil, make([]byte, 999), make([]byte, 5000), bytes.Repeat([]byte("no picture "), 1000), append([]byte("\xff\xd8\xff\xe0"), make([]byte, 5000)...)}

// lab is services of its own, and the programs that use them.
type lab struct {
	dir   string
	say   func(format string, args ...any)
	stack *services.Stack
	// Where pipelines are told that the broker and the NameNode are, host:port and
	// hdfs://host:port.
	broker, hdfs string
	topic        string // that pipelines read
	kafka        *kgo.Client
}

// openLab copies the programs, starts services below dir, and makes the topic.
func openLab(ctx context.Context, dir string, o services.Options, say func(string, ...any)) (*lab, error) {
	l := &lab{dir: dir, say: say, topic: topic}
	programs, err := paths.Programs(ctx)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{l.logs(), l.state("")} {
		if err := os.MkdirAll(folder, dirMode); err != nil {
			return nil, err
		}
	}
	// Copies, by whose path the lab knows its processes.
	if err := os.CopyFS(l.program(""), os.DirFS(programs)); err != nil {
		return nil, err
	}
	if l.stack, err = services.Start(ctx, filepath.Join(dir, "stack"), o); err != nil {
		return nil, err
	}
	l.broker, l.hdfs = l.stack.Kafka, l.stack.HDFS
	l.kafka, err = kgo.NewClient(kgo.SeedBrokers(l.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err == nil {
		_, err = kadm.NewClient(l.kafka).CreateTopic(ctx, partitions, 1, nil, topic)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making topic %s: %w", topic, err), l.close())
	}
	return l, nil
}

// close ends the services. The error says what is left of anything.
func (l *lab) close() error {
	if l.kafka != nil {
		l.kafka.Close()
	}
	return errors.Join(l.stack.Stop(), l.awaitNothing())
}

func (l *lab) logs() string               { return filepath.Join(l.dir, "log") }
func (l *lab) program(name string) string { return filepath.Join(l.dir, "bin", name) }
func (l *lab) state(group string) string  { return filepath.Join(l.dir, "state", group) }

// owns reports whether a process runs a program of the lab, or is a Java one with
// files there.
func (l *lab) owns(p proc.Running) bool {
	dir := l.dir + string(filepath.Separator)
	return strings.HasPrefix(p.Args[0], dir) || filepath.Base(p.Args[0]) == "java" && p.Has(dir)
}

// service returns the name of one of the stack's processes, empty if it is none.
func (l *lab) service(pid int) string {
	for _, p := range l.stack.Processes() {
		if p.PID == pid {
			return p.Name
		}
	}
	return ""
}

// awaitNothing waits until no process of the lab runs but the stack's own.
func (l *lab) awaitNothing() (err error) {
	ctx, stop := context.WithTimeout(context.Background(), goneLimit)
	defer stop()
	left := []proc.Running{}
	rest := fault{victim: func(l *lab, p proc.Running) bool { return l.owns(p) && l.service(p.PID) == "" }}
	_ = wait.Until(ctx, gonePoll, func() bool {
		left, err = rest.victims(l)
		return err != nil || len(left) == 0
	})
	for _, p := range left {
		err = errors.Join(err, fmt.Errorf("process %d is left: %s", p.PID, strings.Join(p.Args, " ")))
	}
	return err
}

// newPipeline returns the pipeline of a group on a runner.
func (l *lab) newPipeline(group, runner string, flags ...string) *program {
	summary := l.state(group) + ".json"
	flags = append(append(l.flags(group), "--runner="+runner, "--keep_rejects", "--summary="+summary), flags...)
	switch runner {
	case runners.Flink:
		flags = append(flags, "--endpoint="+l.stack.Flink, fmt.Sprintf("--parallelism=%d", slots))
	case runners.Spark:
		flags = append(flags, "--endpoint="+l.stack.Spark)
	}
	return &program{name: group, path: l.program(pipeline), flags: flags, logs: l.logs(), summary: summary, say: l.say}
}

// flags are those of every program that looks at what a group stores.
func (l *lab) flags(group string) []string {
	return []string{
		"--state_dir=" + l.state(group), "--kafka=" + l.broker, "--topics=" + l.topic, "--group=" + group,
		"--user=" + user, "--output=" + l.hdfs + "/user/" + user + "/" + group,
	}
}

// newCamera returns a camera that sends the demo.
func (l *lab) newCamera(flags ...string) *program {
	flags = append([]string{"--kafka=" + l.broker, "--topic=" + l.topic, "--source=demo", "--spread"}, flags...)
	return &program{name: camera, path: l.program(camera), flags: flags, logs: l.logs(), say: l.say}
}

// sendBad sends the next bad record. It waits for a broker that is away.
func (l *lab) sendBad(ctx context.Context, i int) error {
	return l.kafka.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: bad[i%len(bad)]}).FirstErr()
}

// verify looks at what a group stores. The error says what does not agree, or is not
// committed; the report is kept among the logs.
func (l *lab) verify(ctx context.Context, group string, recheck int) (r audit.Report, err error) {
	p := &program{name: "verify-" + group, path: l.program(pipeline), logs: l.logs()}
	end, err := p.run(ctx, append([]string{"verify", "--json", fmt.Sprintf("--recheck=%d", recheck)}, l.flags(group)...)...)
	if err == nil {
		err = json.Unmarshal([]byte(end.stdout()), &r)
	}
	if err != nil || end.Success() != r.Agrees {
		return r, fmt.Errorf("verify of %s prints agrees=%t (%v): %s", group, r.Agrees, err, end)
	}
	return r, checkReport(group, r)
}

func checkReport(group string, r audit.Report) (err error) {
	for _, p := range r.Problems[:min(len(r.Problems), maxProblems)] {
		err = errors.Join(err, fmt.Errorf("%s: %s", group, p.Text))
	}
	if more := len(r.Problems) - maxProblems; more > 0 {
		err = errors.Join(err, fmt.Errorf("%s: and %d more", group, more))
	}
	for _, p := range r.Partitions {
		if p.LogEnd > 0 && (p.Committed == nil || *p.Committed != p.LogEnd || p.Waiting > 0) {
			err = errors.Join(err, fmt.Errorf("%s: %s ends at %d, and that is not committed, or %d records still wait", group, p.TopicPartition, p.LogEnd, p.Waiting))
		}
	}
	return err
}
