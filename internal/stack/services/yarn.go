package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/rest"
	"facestream/internal/stack/state"
	"facestream/internal/yarnrm"
)

const (
	resourceManager = "resourcemanager"
	nodeManager     = "nodemanager"
	yarnHeap        = "256m"
	yarnParts       = "resourcemanager"
	// nodesMB is what all NodeManagers have together: each of two has no room for all of a
	// session of two TaskManagers, nor for a Spark application of two executors.
	nodesMB = 10 << 10
)

// yarnSettings are yarn-site.xml, of the NodeManager whose folders have the suffix, too.
func yarnSettings(dir, suffix string, secrets secrets, o Options) string {
	at, anyPort := o.hostOf(resourceManager), o.at(nodeManager+suffix, 0)
	mb := strconv.Itoa(nodesMB / cmp.Or(o.NodeManagers, 1))
	settings := [][2]string{
		{"yarn.resourcemanager.hostname", at},
		{"yarn.resourcemanager.webapp.address", state.HostPort(o.Addrs.YARNWeb)},
		{"yarn.nodemanager.hostname", o.hostOf(nodeManager + suffix)},
		{"yarn.nodemanager.address", anyPort},
		{"yarn.nodemanager.localizer.address", anyPort},
		{"yarn.nodemanager.webapp.address", anyPort},
		{"yarn.nodemanager.local-dirs", filepath.Join(dir, "local"+suffix)},
		{"yarn.nodemanager.log-dirs", filepath.Join(dir, "containers"+suffix)},
		{"yarn.node-attribute.fs-store.root-dir", "file://" + filepath.Join(dir, "attributes")},
		{"yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", "99"},
		{"yarn.nodemanager.resource.memory-mb", mb},
		{"yarn.scheduler.maximum-allocation-mb", mb},
		{"yarn.scheduler.minimum-allocation-mb", "256"},
		// A container's virtual memory says nothing: Java and Go reserve more than they use.
		{"yarn.nodemanager.vmem-check-enabled", "false"},
		{"yarn.log-aggregation-enable", strconv.FormatBool(secrets == "")}, // secured, it needs Hadoop's native code
		// They start together, and on one machine a heartbeat costs nothing.
		{"yarn.resourcemanager.connect.retry-interval.ms", "200"},
		{"yarn.resourcemanager.nodemanagers.heartbeat-interval-ms", "200"},
	}
	for i, rpc := range []string{"", ".scheduler", ".resource-tracker", ".admin"} {
		settings = append(settings, [2]string{"yarn.resourcemanager" + rpc + ".address", o.at(resourceManager, o.yarn[i])})
	}
	if secrets != "" {
		for _, name := range []string{resourceManager, nodeManager} {
			settings = append(settings, [2]string{"yarn." + name + ".principal", hdfsPrincipal + "@" + realm}, [2]string{"yarn." + name + ".keytab", secrets.hdfsKeytab()})
		}
	}
	return hadoopXML(settings)
}

// queues are capacity-scheduler.xml.
var queues = hadoopXML([][2]string{
	{"yarn.scheduler.capacity.root.queues", "default"},
	{"yarn.scheduler.capacity.root.default.capacity", "100"},
	{"yarn.scheduler.capacity.maximum-am-resource-percent", "1"},
})

// yarnPrograms are a ResourceManager and NodeManagers, whose containers keep files in dir.
func yarnPrograms(s *Stack, dir string, o Options) ([]javaProgram, error) {
	if o.Addrs.HDFS == "" {
		o.Addrs.HDFS = o.Files
	}
	if o.Addrs.HDFS == "" {
		return nil, errors.New("applications of YARN need a file system: start hdfs, too")
	}
	files := hdfsSettings(dir, "", s.secrets, o)
	program := func(name, suffix, class string) javaProgram {
		conf := filepath.Join(dir, "conf"+suffix)
		return javaProgram{
			name: name + suffix, classes: yarnParts, conf: conf, readConf: true, heap: yarnHeap, class: "org.apache.hadoop.yarn.server." + class,
			settings: map[string]string{
				"core-site.xml": files, "hdfs-site.xml": files,
				"yarn-site.xml": yarnSettings(dir, suffix, s.secrets, o), "capacity-scheduler.xml": queues,
			},
			jvm: append(s.secrets.jvm(), jvm.AddOpens()...),
			// Containers get these, too.
			env: []string{"HADOOP_USER_NAME=" + superuser, "HADOOP_CONF_DIR=" + conf, "JAVA_HOME=" + s.javaHome()},
		}
	}
	programs := []javaProgram{program(resourceManager, "", "resourcemanager.ResourceManager")}
	for i := range cmp.Or(o.NodeManagers, 1) {
		node := program(nodeManager, suffixOf(i), "nodemanager.NodeManager")
		node.member, node.owner = true, true
		programs = append(programs, node)
	}
	return programs, nil
}

// nodeManagers returns those NodeManagers that can start containers.
func nodeManagers(ctx context.Context, a state.Addrs) ([]string, error) {
	return yarnrm.Nodes(ctx, a.YARNWeb)
}

// tryYARN asks for the id of a new application. With Kerberos the pages give none.
func tryYARN(ctx context.Context, s *Stack) error {
	if s.secrets != "" {
		return nil
	}
	_, err := rest.Call(ctx, http.DefaultClient, http.MethodPost, s.YARNWeb+"/ws/v1/cluster/apps/new-application?user.name="+superuser, "")
	return err
}

// sessionSettings are config.yaml of a session of Flink: with its part for YARN, its class
// path, its folder, and flags of its JVMs.
const sessionSettings = `
yarn.flink-dist-jar: %[1]s
flink.yarn.application.classpath: $HADOOP_CONF_DIR,%[2]s
yarn.properties-file.location: %[3]s
web.tmpdir: %[3]s
env.java.opts.all: %[4]s
jobmanager.memory.process.size: 1024m
taskmanager.memory.process.size: 3072m
taskmanager.numberOfTaskSlots: 1
classloader.resolve-order: parent-first
` + restartSettings

// FlinkOnYARN starts a session of Flink, which ends with its NodeManager, and returns its
// web pages. It has no TaskManagers before a job wants them.
func (s *Stack) FlinkOnYARN(ctx context.Context) (web string, err error) {
	const classes = "flink yarn hadoop"
	var jars []string
	for _, profile := range strings.Fields(classes) {
		path, err := paths.ClassPath(profile)
		if err != nil {
			return "", err
		}
		jars = append(jars, path)
	}
	part, err := paths.Jar("yarn", "flink-yarn-*.jar")
	if err != nil {
		return "", err
	}
	conf := filepath.Join(filepath.Dir(s.YARNConfig()), "session")
	files := maps.Clone(s.find(resourceManager).program.settings) // of YARN, to which the class path must lead
	flags := slices.Concat(s.secrets.jvm(), jvm.Small, jvm.AddOpens())
	settings := fmt.Sprintf(sessionSettings, part, strings.Join(jars, ","), conf, strings.Join(flags, " "))
	if len(s.hosts) == 0 {
		settings += "jobmanager.bind-host: " + host + "\ntaskmanager.bind-host: " + host + "\n"
	}
	if s.secrets != "" {
		settings += fmt.Sprintf("security.kerberos.login.principal: %s\nsecurity.kerberos.login.keytab: %s\nsecurity.kerberos.krb5-conf.path: %s\n",
			User, s.Secret(UserKeytab), s.Secret(Krb5Config))
	}
	files["config.yaml"] = settings
	err = s.run(ctx, javaProgram{
		name: "yarn-session", classes: classes, conf: conf, readConf: true, heap: yarnHeap, class: "org.apache.flink.yarn.cli.FlinkYarnSessionCli",
		settings: files, args: []string{"-d", "-nm", "faces"}, jvm: flags,
		env: []string{"HADOOP_USER_NAME=" + superuser, "HADOOP_CONF_DIR=" + conf, "FLINK_CONF_DIR=" + conf},
	})
	if err != nil {
		return "", err
	}
	sessions, err := yarnrm.Applications(ctx, s.YARNWeb, url.Values{"states": {"RUNNING"}, "applicationTypes": {"Apache Flink"}})
	if err == nil && len(sessions) == 0 {
		err = fmt.Errorf("no session of Flink runs on YARN; the log of its start is %s", s.logPath("yarn-session"))
	}
	if err != nil {
		return "", err
	}
	return "http://" + sessions[0].RPC, nil
}

// YARNConfig returns the folder of the settings of YARN and its file system, for HADOOP_CONF_DIR.
func (s *Stack) YARNConfig() string { return s.find(resourceManager).program.conf }

// javaHome is the folder of the Java that runs the services.
func (s *Stack) javaHome() string {
	java, err := filepath.EvalSymlinks(s.java)
	if err != nil {
		java = s.java
	}
	return filepath.Dir(filepath.Dir(java))
}
