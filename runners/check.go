package runners

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"facestream/internal/paths"
	"facestream/internal/rest"
)

// What the Java parts are made for, and docs/operations.md asks of a cluster.
const (
	JavaVersion  = 17
	FlinkVersion = "1.19"
)

// Beam's version is in the name of the jar that it always has.
const (
	beamCore  = "beam-sdks-java-core-"
	jarSuffix = ".jar"
)

// NeedsJava reports whether a run with c starts Java programs on this machine.
func NeedsJava(c Config, ownExpansion bool) bool { return len(profiles(c, ownExpansion)) > 0 }

// profiles are the Java parts that this machine needs.
func profiles(c Config, ownExpansion bool) []string {
	var all []string
	if ownExpansion {
		all = append(all, expansionParts)
	}
	if (c.Name == Flink || c.Name == Spark) && c.Endpoint == "" {
		all = append(all, c.Name)
	}
	return all
}

// javaVersion finds the version in: openjdk version "17.0.13" 2024-10-15.
var javaVersion = regexp.MustCompile(`version "([^"]+)"`)

// Java returns the java program that is used, and its version.
func Java(ctx context.Context) (program, version string, err error) {
	if program, err = paths.Java(); err != nil {
		return "", "", err
	}
	out, err := exec.CommandContext(ctx, program, "-version").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("running %s -version: %w: %s", program, err, out)
	}
	found := javaVersion.FindSubmatch(out)
	if found == nil {
		return "", "", fmt.Errorf("%s -version says %q, which has no version: set JAVA_HOME to a Java %d", program, out, JavaVersion)
	}
	return program, string(found[1]), nil
}

// Parts returns the names of the Java parts that a run with c needs on this
// machine, each with Beam's version, "flink 2.62.0", or with a word on when it comes.
func Parts(c Config, ownExpansion bool) ([]string, error) {
	var found []string
	for _, profile := range profiles(c, ownExpansion) {
		dir, ready, err := paths.JavaParts(profile)
		if err != nil {
			return nil, err
		}
		if !ready {
			found = append(found, profile+" comes when it is first used")
			continue
		}
		core, err := filepath.Glob(filepath.Join(dir, beamCore+"*"+jarSuffix))
		if err != nil {
			return nil, err
		}
		if len(core) != 1 {
			return nil, fmt.Errorf("%d versions of Beam in %s: remove that folder and run make setup", len(core), dir)
		}
		version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(core[0]), beamCore), jarSuffix)
		found = append(found, profile+" "+version)
	}
	return found, nil
}

// JobServer is what can be seen of a running job server, which nobody can ask for its version.
type JobServer struct {
	Engine string // Flink or Spark; empty if it is neither
	Job    string // one that is running, or empty
	Master string // host:port of Flink's REST API, once the job server has run a job; else empty
}

// AskJobServer looks at the job server at c.Endpoint, and whether it knows c.Options.
func AskJobServer(ctx context.Context, c Config) (JobServer, error) {
	conn, err := dialJobServer(ctx, c.Endpoint, firstTimeout)
	if err != nil {
		return JobServer{}, err
	}
	defer conn.Close()
	client := jobpb.NewJobServiceClient(conn)
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	names, err := optionNames(ctx, client, c.Options)
	if err != nil {
		return JobServer{}, err
	}
	var s JobServer
	for _, engine := range []string{Flink, Spark} {
		if slices.Contains(names, engine+"_master") {
			s.Engine = engine
		}
	}
	if s.Engine == Flink {
		if s.Master, err = masterOf(ctx, client, ""); err != nil && !errors.Is(err, errNoJob) {
			return s, err
		}
	}
	s.Job, err = runningJob(ctx, client)
	return s, err
}

// FlinkCluster is what Flink's REST API says of its cluster.
type FlinkCluster struct {
	Version      string `json:"flink-version"`
	TaskManagers int    `json:"taskmanagers"`
	Slots        int    `json:"slots-total"`
}

// AskFlink asks the REST API at master, host:port.
func AskFlink(ctx context.Context, master string) (FlinkCluster, error) {
	ctx, stop := context.WithTimeout(ctx, firstTimeout)
	defer stop()
	var c FlinkCluster
	master, err := flinkAt(ctx, master)
	if err != nil {
		return c, err
	}
	if err := rest.Get(ctx, "http://"+master+"/overview", &c); err != nil {
		return c, fmt.Errorf("asking Flink at %s about itself: %w", master, err)
	}
	if c.Version == "" {
		return c, fmt.Errorf("what answers at %s is not Flink's REST API", master)
	}
	return c, nil
}

// AskRestarts asks the REST API at master, host:port, for the cluster's settings, and
// returns what to change in them for a job to survive the loss of a TaskManager, or "". They
// are what counts: Flink takes no restart strategy from a batch job, nor from a job server.
func AskRestarts(ctx context.Context, master string) (advice string, err error) {
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	if master, err = flinkAt(ctx, master); err != nil {
		return "", err
	}
	var all []struct{ Key, Value string }
	if err := rest.Get(ctx, "http://"+master+"/jobmanager/config", &all); err != nil {
		return "", fmt.Errorf("asking Flink at %s for its settings: %w", master, err)
	}
	settings := map[string]string{}
	for _, s := range all {
		settings[s.Key] = s.Value
	}
	return restartAdvice(settings), nil
}

// restartAdvice judges by the names and defaults of
// https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/deployment/config/
func restartAdvice(settings map[string]string) string {
	const ours = "restart-strategy.type: fixed-delay, restart-strategy.fixed-delay.attempts: 3, restart-strategy.fixed-delay.delay: 4 s, heartbeat.interval: 2000, heartbeat.timeout: 10000"
	strategy := strings.ToLower(cmp.Or(settings["restart-strategy.type"], settings["restart-strategy"]))
	switch strings.ReplaceAll(strategy, "-", "") {
	case "", "none", "off", "disable":
		return "Flink tries no job again, so that a run fails when a worker or a TaskManager is lost: set in the cluster's config.yaml " + ours
	case "fixeddelay":
		attempts, err := strconv.Atoi(cmp.Or(settings["restart-strategy.fixed-delay.attempts"], "1"))
		delay, delayErr := flinkTime(cmp.Or(settings["restart-strategy.fixed-delay.delay"], "1 s"))
		timeout, timeoutErr := flinkTime(cmp.Or(settings["heartbeat.timeout"], "50 s"))
		if patience := time.Duration(attempts) * delay; errors.Join(err, delayErr, timeoutErr) == nil && patience <= timeout {
			return fmt.Sprintf("Flink gives a job up %s after a TaskManager was lost, and knows only after %s (heartbeat.timeout) that it was, so that a run may fail: set in the cluster's config.yaml %s", patience, timeout, ours)
		}
	}
	return ""
}

// flinkTime reads a duration such as 4 s, 1 min or 10000, which is in milliseconds.
func flinkTime(text string) (time.Duration, error) {
	if _, err := strconv.Atoi(text); err == nil {
		text += "ms"
	}
	return time.ParseDuration(strings.NewReplacer(" ", "", "min", "m").Replace(text))
}

// Exposed names the server of Beam's that a run with c starts and that listens on all
// addresses, whatever it is told, and those addresses at which other machines can reach
// it. Whoever does can run programs here.
func Exposed(c Config) (server string, addrs []string, err error) {
	switch {
	case c.Name == Prism:
		server = "Prism"
	case (c.Name == Flink || c.Name == Spark) && c.Endpoint == "":
		server = "the job server for " + c.Name
	default:
		return "", nil, nil
	}
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if of, ok := a.(*net.IPNet); ok && !of.IP.IsLoopback() {
			addrs = append(addrs, of.IP.String())
		}
	}
	return server, addrs, err
}

// AskExpansion makes sure that an expansion service is at addr, host:port.
func AskExpansion(ctx context.Context, addr string) error {
	conn, err := dialGRPC(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := context.WithTimeout(ctx, firstTimeout)
	defer stop()
	// It answers that it does not know such a transform, in one way or another.
	_, err = jobpb.NewExpansionServiceClient(conn).Expand(ctx, &jobpb.ExpansionRequest{})
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unimplemented:
		return fmt.Errorf("asking the expansion service at %s: %w", addr, err)
	}
	return nil
}
