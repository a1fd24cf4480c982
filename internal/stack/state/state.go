// Package state is what is known of the stack that "scripts/stack up" leaves
// running: its addresses and its processes, in the folder stack of the state
// directory. It needs no client of any service, so that every program can ask it for
// its default addresses.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"facestream/internal/proc"
)

// The names of the services.
const (
	Kafka = "kafka"
	HDFS  = "hdfs"
	Flink = "flink"
	Spark = "spark"
)

// Services are all names, in the order in which people are told of them.
var Services = []string{Kafka, HDFS, Flink, Spark}

const (
	dirMode  = 0o755
	fileMode = 0o644
	fileName = "state.json"
)

// Addrs says where services answer. What does not run is empty.
type Addrs struct {
	Kafka string // host:port of the broker
	HDFS  string // hdfs://host:port of the NameNode
	Web   string // http://host:port of the NameNode's web pages and of WebHDFS

	Flink    string // host:port of the job service for Flink
	FlinkWeb string // http://host:port of the JobManager's web pages and REST API
	Spark    string // host:port of the job service for Spark
	SparkWeb string // http://host:port of the Master's web pages

	SparkMaster string // spark://host:port of the Master
}

// Stack holds the services that were started in a folder, by name.
type Stack map[string]Service

// Service is one started service.
type Service struct {
	Addr      string         // host:port for its clients
	WebAddr   string         `json:",omitempty"` // host:port of its web pages
	Master    string         `json:",omitempty"` // spark://host:port of Spark\'s Master
	Ready     bool           // it has answered since Processes were started
	Processes []proc.Process // in the order of their start
}

// Running says whether the service was ready and all its processes still run.
func (s Service) Running() bool {
	for _, p := range s.Processes {
		if !p.Alive() {
			return false
		}
	}
	return s.Ready
}

// Running returns the addresses of the services in a state directory that run; ok is
// false when none does.
func Running(stateDir string) (addrs Addrs, ok bool) {
	stack, err := Load(Dir(stateDir))
	if err != nil {
		return Addrs{}, false
	}
	addrs = stack.Addrs()
	return addrs, addrs != Addrs{}
}

// Dir returns the stack's folder in a state directory.
func Dir(stateDir string) string { return filepath.Join(stateDir, "stack") }

// Addrs returns where the services that run answer.
func (s Stack) Addrs() Addrs {
	var addrs Addrs
	if k := s[Kafka]; k.Running() {
		addrs.Kafka = k.Addr
	}
	if h := s[HDFS]; h.Running() {
		addrs.HDFS = "hdfs://" + h.Addr
		addrs.Web = "http://" + h.WebAddr
	}
	if f := s[Flink]; f.Running() {
		addrs.Flink = f.Addr
		addrs.FlinkWeb = "http://" + f.WebAddr
	}
	if sp := s[Spark]; sp.Running() {
		addrs.Spark = sp.Addr
		addrs.SparkWeb = "http://" + sp.WebAddr
		addrs.SparkMaster = sp.Master
	}
	return addrs
}

// Load reads the state from its folder. Without a state nothing was started.
func Load(dir string) (Stack, error) {
	path := filepath.Join(dir, fileName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Stack{}, nil
	}
	if err != nil {
		return nil, err
	}
	var s Stack
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return s, nil
}

// Save writes the state to its folder, at once or not at all: other programs
// may read it at any time.
func (s Stack) Save(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	if err := os.WriteFile(path+".tmp", data, fileMode); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
