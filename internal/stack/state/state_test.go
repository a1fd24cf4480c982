package state

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

func TestRunning(t *testing.T) {
	alive := testkit.Value(proc.NewProcess("test", os.Getpid(), ""))(t)
	dead := alive
	dead.Born = "another boot+1"
	addrs := Addrs{
		Kafka: "127.0.0.1:1", HDFS: "hdfs://127.0.0.1:2", Web: "http://127.0.0.1:3", Flink: "127.0.0.1:4", FlinkWeb: "http://127.0.0.1:5",
		Spark: "127.0.0.1:6", SparkWeb: "http://127.0.0.1:7", SparkMaster: "spark://127.0.0.1:8",
	}
	all := Stack{}
	for _, name := range Services {
		all[name] = Service{Addrs: addrs.Of(name), Ready: true, Processes: []proc.Process{alive, alive}}
	}
	with := func(name string, change func(*Service)) Stack {
		stack, s := maps.Clone(all), all[name]
		change(&s)
		stack[name] = s
		return stack
	}
	without := func(services ...string) Addrs {
		left := addrs
		for _, a := range Addresses {
			if slices.Contains(services, a.Service) {
				*a.In(&left) = ""
			}
		}
		return left
	}
	for name, test := range map[string]struct {
		stack Stack
		want  Addrs
	}{
		"nothing":       {Stack{}, Addrs{}},
		"all":           {all, addrs},
		"not ready":     {with(Kafka, func(s *Service) { s.Ready = false }), without(Kafka)},
		"half of it":    {with(HDFS, func(s *Service) { s.Processes = []proc.Process{alive, dead} }), without(HDFS)},
		"never started": {with(Flink, func(s *Service) { *s = Service{} }), without(Flink)},
		"only Spark":    {Stack{Spark: all[Spark], Kafka: {}}, without(Kafka, HDFS, Flink)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			testkit.Must(t, test.stack.Save(Dir(dir)))
			got, ok := Running(dir)
			if got != test.want || ok != (test.want != Addrs{}) {
				t.Errorf("got %+v, %v, want %+v", got, ok, test.want)
			}
		})
	}
	if got, ok := Running(t.TempDir()); ok {
		t.Errorf("got %+v where nothing was ever started", got)
	}
}

// Each address has its own field, flag and name.
func TestAddresses(t *testing.T) {
	var addrs Addrs
	flags, names := map[string]bool{"": true}, map[string]bool{}
	for i, a := range Addresses {
		if *a.In(&addrs) != "" || a.Flag != "" && flags[a.Flag] || names[a.Env] {
			t.Errorf("%s stands twice", a.Env)
		}
		*a.In(&addrs) = fmt.Sprint(a.Scheme, "host:", i)
		flags[a.Flag], names[a.Env] = true, true
		if got := HostPort(*a.In(&addrs)); got != fmt.Sprint("host:", i) {
			t.Errorf("%s is at %s", a.Env, got)
		}
	}
	if fields := reflect.TypeFor[Addrs]().NumField(); len(Addresses) != fields {
		t.Errorf("there are %d addresses, want all %d fields of Addrs", len(Addresses), fields)
	}
}

func TestLoadNamesBrokenFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	testkit.Must(t, os.WriteFile(path, []byte("{"), 0o644))
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one that names %s", err, path)
	}
}
