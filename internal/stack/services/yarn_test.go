package services

import (
	"path/filepath"
	"testing"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

// A session of Flink on YARN, and whatever else a NodeManager has started, ends with it, also
// when it is killed. All servers listen on the loopback.
func TestContainersEndWithTheirNodeManager(t *testing.T) {
	testkit.OnlyInAll(t)
	for name, o := range map[string]Options{"open": {HDFS: true, YARN: true}, "kerberos": {HDFS: true, YARN: true, KDC: true}} {
		t.Run(name, func(t *testing.T) { testContainers(t, o) })
	}
}

func testContainers(t *testing.T, o Options) {
	s := testkit.Value(Start(t.Context(), t.TempDir(), o))(t)
	t.Cleanup(func() { testkit.Must(t, s.Stop()) })
	web := testkit.Value(s.FlinkOnYARN(t.Context()))(t)
	var overview struct {
		Version string `json:"flink-version"`
	}
	if testkit.GetJSON(t, web+"/overview", &overview); overview.Version == "" {
		t.Errorf("%s is no Flink: %+v", web, overview)
	}
	dir := filepath.Dir(s.YARNConfig())
	containers := func() []proc.Process {
		var out []proc.Process
		for _, p := range testkit.Processes(t, func(p proc.Running) bool {
			return p.Has("YarnSessionClusterEntrypoint") && p.Has(dir) && filepath.Base(p.Args[0]) == "java"
		}) {
			out = append(out, proc.Process{Name: p.Args[0], PID: p.PID})
		}
		return out
	}
	found := containers()
	if len(found) == 0 {
		t.Error("no process of the session was found")
	}
	testkit.MustListenOnLoopback(t, append(found, s.Processes()...))
	node, _ := s.Process(nodeManager)
	testkit.Must(t, node.End(0))
	testkit.Await(t, "the end of the session's containers", func() bool { return len(containers()) == 0 })
}
