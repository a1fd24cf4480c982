package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// Java that is missing, or another one.
func TestCheckJava(t *testing.T) {
	home := t.TempDir()
	t.Setenv("JAVA_HOME", home)
	c := &Checks{options: config.Options{Runner: runners.Config{Name: runners.Prism}}}
	_, err := c.probeJava(t.Context())
	testkit.Says(t, "no Java", err, "JAVA_HOME")
	testkit.Must(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	const right = "a Java 17"
	for version, want := range map[string]struct{ err, warning string }{
		"1.8.0_402": {right, ""}, "11.0.2": {right, ""}, "17.0.15": {"", ""}, "21": {"", right}, "22-ea": {"", right},
	} {
		java := "#!/bin/sh\necho 'openjdk version \"" + version + "\" 2019-01-15' >&2\n"
		testkit.Must(t, os.WriteFile(filepath.Join(home, "bin", "java"), []byte(java), 0o755))
		f, err := c.probeJava(t.Context())
		testkit.Says(t, version, err, want.err)
		if warned := strings.Join(f.warnings, ""); (warned == "") != (want.warning == "") || !strings.Contains(warned, want.warning) {
			t.Errorf("%s: warning %q, want one with %q", version, warned, want.warning)
		}
	}
}

// A Flink cluster that gives a job up for one lost TaskManager is warned of, with what to set.
func TestCheckWarnsOfRestarts(t *testing.T) {
	const strategy, attempts, delay, timeout = "restart-strategy.type", "restart-strategy.fixed-delay.attempts", "restart-strategy.fixed-delay.delay", "heartbeat.timeout"
	const never, tooSoon = "tries no job again", "gives a job up %s after a TaskManager was lost, and knows only after %s"
	for _, tc := range []struct {
		settings map[string]string
		want     string
	}{
		{nil, never},
		{map[string]string{strategy: "none"}, never},
		{map[string]string{"restart-strategy": "off"}, never}, // as it was called before Flink 1.19
		{map[string]string{strategy: "exponential-delay"}, ""},
		{map[string]string{strategy: "fixed-delay"}, fmt.Sprintf(tooSoon, "1s", "50s")},
		{map[string]string{strategy: "fixed-delay", attempts: "3", delay: "10 s"}, fmt.Sprintf(tooSoon, "30s", "50s")},
		{map[string]string{strategy: "fixed-delay", attempts: "3", delay: "1 s", timeout: "10000"}, fmt.Sprintf(tooSoon, "3s", "10s")},
		{map[string]string{strategy: "fixed-delay", attempts: "2", delay: "5 s", timeout: "10000"}, fmt.Sprintf(tooSoon, "10s", "10s")},
		{map[string]string{strategy: "fixed-delay", attempts: "3", delay: "4 s", timeout: "10000"}, ""},
		{map[string]string{strategy: "fixed-delay", delay: "1 min"}, ""},
		{map[string]string{strategy: "fixed-delay", delay: "a while"}, ""},
	} {
		type setting struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		}
		settings := []setting{}
		for key, value := range tc.settings {
			settings = append(settings, setting{key, value})
		}
		answers := map[string]any{
			"/overview":          map[string]any{"flink-version": "1.19.1", "taskmanagers": 1, "slots-total": 2},
			"/jobmanager/config": settings,
		}
		flink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewEncoder(w).Encode(answers[r.URL.Path]); err != nil {
				t.Error(err)
			}
		}))
		c := &Checks{options: config.Options{Runner: runners.Config{Name: runners.Flink, Master: strings.TrimPrefix(flink.URL, "http://")}}}
		f, err := c.probeFlink(t.Context())
		flink.Close()
		warned := strings.Join(f.warnings, "\n")
		if err != nil || (warned != "") != (tc.want != "") || !strings.Contains(warned, tc.want) || warned != "" && !strings.Contains(warned, delay+": 4 s") {
			t.Errorf("%v: %q, %v, want %q", tc.settings, warned, err, tc.want)
		}
	}
}

// A server that other machines can reach is warned of, where the run starts one.
func TestCheckWarnsOfOpenServers(t *testing.T) {
	all := testkit.Value(net.InterfaceAddrs())(t)
	other := slices.IndexFunc(all, func(a net.Addr) bool { return !a.(*net.IPNet).IP.IsLoopback() })
	for _, tc := range []struct {
		runner runners.Config
		server string
	}{
		{runners.Config{Name: runners.Prism}, "Prism"},
		{runners.Config{Name: runners.Flink, Master: "h:1"}, "the job server for flink"},
		{runners.Config{Name: runners.Spark}, "the job server for spark"},
		{runners.Config{Name: runners.Spark, Endpoint: "h:1"}, ""},
		{runners.Config{Name: runners.Direct}, ""},
	} {
		c := Start(t.Context(), config.Options{Runner: tc.runner}, store.Config{Root: t.TempDir()})
		defer c.Stop()
		at := slices.IndexFunc(c.all, func(one *check) bool { return one.name == "network" })
		if (at >= 0) != (tc.server != "") {
			t.Errorf("%+v: looked at: %v", tc.runner, at >= 0)
		}
		if at < 0 {
			continue
		}
		testkit.Must(t, c.all[at].wait(t.Context()))
		f := c.all[at].found
		warned := len(f.warnings) == 1 && strings.Contains(f.warnings[0], tc.server+" listens on all addresses") && strings.Contains(f.warnings[0], all[max(0, other)].(*net.IPNet).IP.String())
		if !strings.Contains(f.says, tc.server) || warned != (other >= 0) {
			t.Errorf("%+v: %+v, of the addresses %v", tc.runner, f, all)
		}
	}
}

// Addresses that only this machine understands are refused where the cluster is another
// one: those of the flags, and those that brokers and DataNodes give.
func TestCheckRefusesLoopbackElsewhere(t *testing.T) {
	for _, tc := range []struct {
		kafka, output string
		advertised    []string
		dataNodes     []string
		kafkaErr      string
		hdfsErr       string
	}{
		{"10.0.0.1:9092,broker:9092", "hdfs://bob@10.0.0.2:8020,namenode:8020/faces", []string{"broker:9092", "[fd00::1]:9092"}, []string{"10.0.0.3:9866"}, "", ""},
		{"broker:9092,localhost:9093", "hdfs://bob@[::1]:8020/faces", nil, nil, "--kafka=localhost:9093", "address [::1]:8020"},
		{"broker:9092", "hdfs://bob@namenode:8020,127.0.0.1:8020/faces", []string{"broker:9092", "127.0.1.1:9092"}, nil, "advertised.listeners", "address 127.0.0.1:8020"},
		{"broker:9092", "hdfs://bob@namenode:8020/faces", nil, []string{"10.0.0.3:9866", "127.0.0.1:9866"}, "", "DataNode is at 127.0.0.1:9866"},
		{"broker:9092", "/faces", nil, []string{"127.0.0.1:9866"}, "", ""},
	} {
		o := config.Options{Runner: runners.Config{Name: runners.Flink, Master: "jobmanager:8081"}}
		o.Kafka, o.Output = tc.kafka, tc.output
		for _, elsewhere := range []bool{true, false} {
			c := &Checks{options: o, elsewhere: func() bool { return elsewhere }}
			for want, err := range map[string]error{tc.kafkaErr: c.checkBrokers(tc.advertised), tc.hdfsErr: c.checkHDFS(tc.dataNodes)} {
				if refused := elsewhere && want != ""; refused != (err != nil) || refused && (!errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "jobmanager:8081")) {
					t.Errorf("%+v, elsewhere %t: error %v", tc, elsewhere, err)
				}
			}
		}
	}
}

// Sizes of records that do not pass.
func TestCheckWarnsOfSizes(t *testing.T) {
	for _, tc := range []struct {
		about  string
		sample kafka.Sample
		want   []string
	}{
		{"all pass", kafka.Sample{Largest: 900, LargestPlain: 900}, nil},
		{"compressed", kafka.Sample{Largest: 1500}, nil},
		{"topic", kafka.Sample{Largest: 1001, LargestPlain: 1001}, []string{"max.message.bytes"}},
		{"consumer", kafka.Sample{Largest: 2001}, []string{"max.partition.fetch.bytes=2000"}},
		{"window", kafka.Sample{Largest: 3001}, []string{"--window_bytes", "max.partition.fetch.bytes=2000"}},
	} {
		c := &Checks{options: config.Options{WindowBytes: 3000, Consumer: map[string]string{"max.partition.fetch.bytes": "2000"}}}
		var f finding
		c.warnOfSizes(&f, kafka.Topic{MaxMessageBytes: 1000}, tc.sample)
		if !slices.EqualFunc(f.warnings, tc.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", tc.about, f.warnings, tc.want)
		}
	}
}

// A run does not wait for a check that takes its time, but for one that fails.
func TestRunDoesNotWaitForChecks(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := &Checks{looking: ctx}
	c.add("slow", func(ctx context.Context) (finding, error) {
		<-ctx.Done()
		return finding{}, ctx.Err()
	})
	c.add("warns", func(context.Context) (finding, error) {
		return finding{says: "fine", warnings: []string{"beware"}}, nil
	})
	var out strings.Builder
	if err := c.Rest(ctx, &out); err != nil || out.String() != "warn  warns  beware\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	select {
	case <-c.all[0].done:
		t.Error("it has waited for the slow check")
	default:
	}
	wrong := errors.New("wrong")
	bad := &Checks{looking: ctx}
	bad.add("bad", func(context.Context) (finding, error) { return finding{}, wrong })
	testkit.Is(t, "a failed check", bad.Rest(ctx, &out), wrong)
}

// An output that does not answer is waited for, which is said, and then a failure.
func TestCheckWaitsForTheOutput(t *testing.T) {
	defer func(before time.Duration) { checkTimeout = before }(checkTimeout)
	checkTimeout = quiet + time.Second
	o := testkit.Value(config.Parse("--kafka=127.0.0.1:1", "--user=bob", "--output=hdfs://127.0.0.1:1/faces", "--runner=direct", "--state_dir="+t.TempDir()))(t)
	var out strings.Builder
	if Check(t.Context(), o, &out) == nil {
		t.Error("no error")
	}
	for _, want := range []string{
		`wait  output .*127\.0\.0\.1:1/faces has not answered yet.* Is its port that of a NameNode's RPC.*`,
		`FAIL  output .*hdfs://bob@127\.0\.0\.1:1/faces.* \(is the file system running, and is this its address\?\)`,
		`skip  space .*not checked, as output failed`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(out.String()) {
			t.Errorf("no line %s in\n%s", want, out.String())
		}
	}
}

// What is not where a flag says, or what else is there, fails its check with that flag's name,
// and a run at its start, which has more patience with what has answered once.
func TestWrongAddresses(t *testing.T) {
	conf := t.TempDir()
	t.Setenv("HADOOP_CONF_DIR", conf)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var checked sync.WaitGroup
	for about, addr := range testkit.Strangers(t) {
		given := []string{"--kafka=" + addr, "--user=bob", "--output=hdfs://" + addr + "/faces", "--expansion_addr=" + addr}
		for name, cluster := range map[string]struct{ line, flags string }{
			"job server": {"job server", "--runner=flink --endpoint=" + addr},
			"flink":      {"flink", "--runner=flink --master=" + addr},
			"spark":      {"spark", "--runner=spark --master=spark://" + addr},
		} {
			o := testkit.Value(config.Parse(slices.Concat(given, strings.Fields(cluster.flags), []string{"--state_dir=" + t.TempDir()})...))(t)
			checked.Go(func() {
				var out strings.Builder
				if Check(ctx, o, &out) == nil || ctx.Err() != nil {
					t.Errorf("%s, %s: no error, or too late", about, name)
				}
				flag, _, _ := strings.Cut(strings.Fields(cluster.flags)[1], "=")
				for line, flag := range map[string]string{"kafka": "--kafka", "output": "--output", "expansion": "--expansion_addr", cluster.line: flag} {
					if !regexp.MustCompile(`(?m)^FAIL +` + line + ` .*` + flag).MatchString(out.String()) {
						t.Errorf("%s: no line of a failure of %s that names %s:\n%s", about, line, flag, &out)
					}
				}
			})
		}
		checked.Go(func() {
			o := testkit.Value(config.Parse("--kafka="+addr, "--user=amy", "--output=hdfs://"+addr+"/faces", "--runner=direct", "--state_dir="+t.TempDir()))(t)
			c := Start(ctx, o, store.Config{Root: o.Output, Run: "run"})
			defer c.Stop()
			for flag, err := range map[string]error{"--kafka": c.Essential(ctx, io.Discard), "--output": c.awaitOutput(ctx, io.Discard)} {
				if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), flag) {
					t.Errorf("%s, at the start of a run: error %v, want one with %s", about, err, flag)
				}
			}
		})
	}
	checked.Wait()
	silent := testkit.Strangers(t)["says nothing"]
	testkit.WriteFile(t, filepath.Join(conf, "yarn-site.xml"), []byte("<configuration><property><name>yarn.resourcemanager.webapp.address</name><value>"+silent+"</value></property></configuration>"))
	for _, name := range []string{runners.Flink, runners.Spark} {
		c := &Checks{options: config.Options{Runner: runners.Config{Name: name, Master: runners.YARN}}}
		probe := map[string]func(context.Context) (finding, error){runners.Flink: c.probeFlink, runners.Spark: c.probeSpark}[name]
		if _, err := probe(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "--master=yarn") || !strings.Contains(err.Error(), silent) {
			t.Errorf("%s on YARN: error %v", name, err)
		}
	}
}

// The cameras of a line are few, short, and no terminal's commands.
func TestSampledCameras(t *testing.T) {
	demo := testkit.Value(video.NewDemo(1))(t)
	value := demo.Frame(0).BGR
	for want, names := range map[string][]string{
		"camera a":                  {"a", "a"},
		"camera a, b, c and 2 more": {"e", "d", "c", "b", "a"},
		`camera \"x\n`:              {"\"x\n"},
		"camera " + strings.Repeat("é", 40) + "...": {strings.Repeat("é", 41)},
	} {
		var seen contents
		for _, name := range names {
			key := []byte(name)
			seen.add(frame.Config{Width: 640, Height: 480}, kafka.Record{Key: &key, Value: &value})
		}
		testkit.Equal(t, names, seen.cameras(), want)
	}
}

func TestUndated(t *testing.T) {
	var seen contents
	for i, number := range []int64{1_700_000_000_123, 1_700_000_000_123_456, -1} {
		value := []byte("x")
		seen.add(frame.Config{Width: 640, Height: 480}, kafka.Record{Offset: int64(i), Timestamp: number, Value: &value})
	}
	if seen.undated != 2 || seen.odd.Offset != 1 {
		t.Errorf("%d undated, the first is %d", seen.undated, seen.odd.Offset)
	}
	for number, want := range map[int64]string{
		1_700_000_000: " (these look like seconds)", 1_700_000_000_123_456: " (these look like microseconds)",
		1_700_000_000_123_456_789: " (these look like nanoseconds)", -1: "", 0: "", math.MaxInt64: "", math.MinInt64: "",
	} {
		testkit.Equal(t, number, unitOf(number), want)
	}
}
