// Package state is what is known of the services that "facestream-stack up" leaves running, in
// the folder stack of the state directory. It needs no client of any service, so that every
// program can ask it for its default addresses.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"facestream/internal/proc"
)

// The names of the services.
const (
	Kafka = "kafka"
	HDFS  = "hdfs"
	Flink = "flink"
	Spark = "spark"
	YARN  = "yarn"
	// KDC makes HDFS and Kafka take nobody whom it does not know.
	KDC = "kdc"
)

// View is what shows the pictures. Other programs do not need it.
const View = "view"

// Services are all names, in the order in which people are told of them.
var Services = []string{KDC, Kafka, HDFS, Flink, Spark, YARN}

const (
	dirMode  = 0o755
	fileMode = 0o644
	fileName = "state.json"
)

// Addrs says where services answer. What does not run is empty.
type Addrs struct {
	KDC   string // host:port of Kerberos
	Kafka string // host:port of the broker
	HDFS  string // hdfs://host:port of the NameNode
	Web   string // http://host:port of the NameNode's web pages and of WebHDFS

	Flink    string // host:port of the job service for Flink
	FlinkWeb string // http://host:port of the JobManager's web pages and REST API
	Spark    string // host:port of the job service for Spark
	SparkWeb string // http://host:port of the Master's web pages

	SparkMaster string // spark://host:port of the Master
	YARNWeb     string // http://host:port of the ResourceManager's web pages and REST API
	View        string // http://host:port of the pages of the pictures
}

// Address describes one of the addresses in Addrs.
type Address struct {
	Service string
	Process string // that answers there
	Env     string // its name for a shell
	Flag    string // of "up", for the port; empty if there is none
	What    string // what answers there
	Scheme  string // what stands before host:port
	Pages   string // a path, of an address that people look at beside that of clients
	In      func(*Addrs) *string
}

// Addresses are all of them, those of a service together, the one of its clients first.
var Addresses = []Address{
	{KDC, "kdc", "KDC", "", "the KDC", "", "", func(a *Addrs) *string { return &a.KDC }},
	{Kafka, "kafka", "KAFKA", "kafka_port", "the broker", "", "", func(a *Addrs) *string { return &a.Kafka }},
	{HDFS, "namenode", "HDFS", "hdfs_port", "the NameNode", "hdfs://", "", func(a *Addrs) *string { return &a.HDFS }},
	{HDFS, "namenode", "HDFS_WEB", "web_port", "the NameNode's web pages and of WebHDFS", "http://", "/explorer.html", func(a *Addrs) *string { return &a.Web }},
	{Flink, "flink-jobserver", "FLINK_ENDPOINT", "flink_port", "the job server for Flink", "", "", func(a *Addrs) *string { return &a.Flink }},
	{Flink, "jobmanager", "FLINK_WEB", "flink_web_port", "Flink's web pages and REST API", "http://", "/", func(a *Addrs) *string { return &a.FlinkWeb }},
	{Spark, "spark-jobserver", "SPARK_ENDPOINT", "spark_port", "the job server for Spark", "", "", func(a *Addrs) *string { return &a.Spark }},
	{Spark, "spark-master", "SPARK_WEB", "spark_web_port", "the web pages of Spark's Master", "http://", "/", func(a *Addrs) *string { return &a.SparkWeb }},
	{Spark, "spark-master", "SPARK_MASTER", "", "Spark's Master", "spark://", "", func(a *Addrs) *string { return &a.SparkMaster }},
	{YARN, "resourcemanager", "YARN_WEB", "yarn_web_port", "YARN's web pages and REST API", "http://", "", func(a *Addrs) *string { return &a.YARNWeb }},
	{View, "view", "VIEW", "", "the pages of the pictures", "http://", "", func(a *Addrs) *string { return &a.View }},
}

// Has reports whether the addresses are there of a service.
func (a Addrs) Has(service string) bool {
	return a.Of(service) != Addrs{}
}

// Of returns the addresses of a service only.
func (a Addrs) Of(service string) (of Addrs) {
	for _, address := range Addresses {
		if address.Service == service {
			*address.In(&of) = *address.In(&a)
		}
	}
	return of
}

// Merge returns the addresses of a with those of b, which come first.
func (a Addrs) Merge(b Addrs) Addrs {
	for _, address := range Addresses {
		if addr := *address.In(&b); addr != "" {
			*address.In(&a) = addr
		}
	}
	return a
}

// HostPort returns an address without its scheme.
func HostPort(addr string) string {
	if _, hostPort, ok := strings.Cut(addr, "://"); ok {
		return hostPort
	}
	return addr
}

// Stack holds the services that were started in a folder, by name.
type Stack map[string]Service

// Service is one started service.
type Service struct {
	Addrs     Addrs          // its own only
	Ready     bool           // it has answered since Processes were started
	Processes []proc.Process // in the order of their start
}

// Running reports whether the service was ready and all its processes still run.
func (s Service) Running() bool {
	for _, p := range s.Processes {
		if !p.Alive() {
			return false
		}
	}
	return s.Ready
}

// Running returns the addresses of what runs by a state directory; ok is false if nothing does.
func Running(stateDir string) (addrs Addrs, ok bool) {
	stack, err := Load(Dir(stateDir))
	if err != nil {
		return Addrs{}, false
	}
	addrs = stack.Addrs()
	return addrs, addrs != Addrs{}
}

// KafkaConfig is the file for Kafka's clients in the folder of a KDC.
const KafkaConfig = "kafka.properties"

// Secret returns a file of the folder of the KDC, if one runs.
func (a Addrs) Secret(stateDir, name string) string {
	if a.KDC == "" {
		return ""
	}
	return filepath.Join(Dir(stateDir), KDC, name)
}

// Dir returns the stack's folder in a state directory.
func Dir(stateDir string) string { return filepath.Join(stateDir, "stack") }

// Addrs returns where the services that run answer.
func (s Stack) Addrs() (addrs Addrs) {
	for _, service := range s {
		if service.Running() {
			addrs = addrs.Merge(service.Addrs)
		}
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

// Save writes the state at once or not at all: other programs may read it at any time.
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
