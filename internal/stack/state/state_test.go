package state

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

// Of what a service has, all processes must run, and have answered.
func TestRunning(t *testing.T) {
	alive := testkit.Value(proc.NewProcess("test", os.Getpid(), ""))(t)
	dead := alive
	dead.Born = "another boot+1"
	kafka, hdfs := Addrs{Kafka: "127.0.0.1:1"}, Addrs{HDFS: "hdfs://127.0.0.1:2", Web: "http://127.0.0.1:3"}
	of := func(addrs Addrs, ready bool, processes ...proc.Process) Service {
		return Service{addrs, ready, processes}
	}
	for name, test := range map[string]struct {
		stack Stack
		want  Addrs
	}{
		"nothing":       {Stack{}, Addrs{}},
		"all":           {Stack{Kafka: of(kafka, true, alive), HDFS: of(hdfs, true, alive, alive)}, kafka.Merge(hdfs)},
		"not ready":     {Stack{Kafka: of(kafka, false, alive), HDFS: of(hdfs, true, alive)}, hdfs},
		"half of it":    {Stack{Kafka: of(kafka, true, alive), HDFS: of(hdfs, true, alive, dead)}, kafka},
		"never started": {Stack{Kafka: {}, HDFS: of(hdfs, true, alive)}, hdfs},
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
	testkit.WriteFile(t, path, []byte("{"))
	_, err := Load(dir)
	testkit.Says(t, "a broken file", err, path)
}
