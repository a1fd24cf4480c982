package services

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"

	"facestream/internal/jvm"
	"facestream/internal/stack/state"
	"facestream/internal/yarnrm"
)

const (
	resourceManager = "resourcemanager"
	nodeManager     = "nodemanager"
	yarnHeap        = "256m"
	yarnParts       = "resourcemanager"
)

// yarnSettings are yarn-site.xml of the ResourceManager, of the NodeManager and of clients.
func yarnSettings(dir string, o Options) string {
	at, anyPort := o.hostOf(resourceManager), o.at(nodeManager, 0)
	settings := [][2]string{
		{"yarn.resourcemanager.hostname", at},
		{"yarn.resourcemanager.webapp.address", state.HostPort(o.Addrs.YARNWeb)},
		{"yarn.nodemanager.hostname", o.hostOf(nodeManager)},
		{"yarn.nodemanager.address", anyPort},
		{"yarn.nodemanager.localizer.address", anyPort},
		{"yarn.nodemanager.webapp.address", anyPort},
		{"yarn.nodemanager.local-dirs", filepath.Join(dir, "local")},
		{"yarn.nodemanager.log-dirs", filepath.Join(dir, "containers")},
		{"yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", "99"},
		{"yarn.nodemanager.resource.memory-mb", "12288"},
		{"yarn.scheduler.maximum-allocation-mb", "12288"},
		{"yarn.scheduler.minimum-allocation-mb", "256"},
		// A container's virtual memory says nothing: Java and Go reserve more than they use.
		{"yarn.nodemanager.vmem-check-enabled", "false"},
		{"yarn.log-aggregation-enable", "true"},
		// They start together, and on one machine a heartbeat costs nothing.
		{"yarn.resourcemanager.connect.retry-interval.ms", "200"},
		{"yarn.resourcemanager.nodemanagers.heartbeat-interval-ms", "200"},
	}
	for i, rpc := range []string{"", ".scheduler", ".resource-tracker", ".admin"} {
		settings = append(settings, [2]string{"yarn.resourcemanager" + rpc + ".address", o.at(resourceManager, o.yarn[i])})
	}
	return hadoopXML(settings)
}

// queues are capacity-scheduler.xml.
var queues = hadoopXML([][2]string{
	{"yarn.scheduler.capacity.root.queues", "default"},
	{"yarn.scheduler.capacity.root.default.capacity", "100"},
	{"yarn.scheduler.capacity.maximum-am-resource-percent", "1"},
})

// yarnPrograms are a ResourceManager and a NodeManager, whose containers keep their files
// and logs in dir.
func yarnPrograms(s *Stack, dir string, o Options) ([]javaProgram, error) {
	if o.Addrs.HDFS == "" {
		o.Addrs.HDFS = o.Files
	}
	if o.Addrs.HDFS == "" {
		return nil, errors.New("applications of YARN need a file system: start hdfs, too")
	}
	conf := filepath.Join(dir, "conf")
	files := hdfsSettings(dir, "", s.secrets, o)
	program := func(name, class string) javaProgram {
		return javaProgram{
			name: name, classes: yarnParts, conf: conf, readConf: true, heap: yarnHeap, class: "org.apache.hadoop.yarn.server." + class,
			settings: map[string]string{
				"core-site.xml": files, "hdfs-site.xml": files,
				"yarn-site.xml": yarnSettings(dir, o), "capacity-scheduler.xml": queues,
			},
			jvm: append(s.secrets.jvm(), jvm.AddOpens()...),
			// Containers get these, too.
			env: []string{"HADOOP_USER_NAME=" + superuser, "HADOOP_CONF_DIR=" + conf, "JAVA_HOME=" + s.javaHome()},
		}
	}
	node := program(nodeManager, "nodemanager.NodeManager")
	node.member = true
	return []javaProgram{program(resourceManager, "resourcemanager.ResourceManager"), node}, nil
}

// nodeManagers returns those NodeManagers that can start containers.
func nodeManagers(ctx context.Context, a state.Addrs) ([]string, error) {
	return yarnrm.Nodes(ctx, a.YARNWeb)
}

// tryYARN asks for the id of a new application.
func tryYARN(ctx context.Context, s *Stack) error {
	_, err := request(ctx, http.MethodPost, s.YARNWeb+"/ws/v1/cluster/apps/new-application?user.name="+superuser, "")
	return err
}

// YARNConfig returns the folder of the settings of YARN and its file system, which is
// HADOOP_CONF_DIR of clients.
func (s *Stack) YARNConfig() string { return s.find(resourceManager).program.conf }

// javaHome is the folder of the Java that runs the services.
func (s *Stack) javaHome() string {
	java, err := filepath.EvalSymlinks(s.java)
	if err != nil {
		java = s.java
	}
	return filepath.Dir(filepath.Dir(java))
}
