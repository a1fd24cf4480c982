package services

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

const (
	hdfsHeap  = "256m"
	superuser = "hdfs"
	nameNode  = "namenode"
)

// property is one setting in Hadoop's XML.
type property struct {
	Name  string `xml:"name"`
	Value string `xml:"value"`
}

// hdfsSettings are core-site.xml and hdfs-site.xml in one, for the processes
// whose folders in dir have the suffix. A DataNode takes free ports and tells
// them to the NameNode; it names itself by address, so that WebHDFS redirects a
// browser to where it can go without any resolver.
func hdfsSettings(dir, suffix string, o Options) []property {
	const anyPort = "127.0.0.1:0"
	file := func(name string) string {
		return (&url.URL{Scheme: "file", Path: filepath.Join(dir, name)}).String()
	}
	settings := []property{
		{"fs.defaultFS", o.Addrs.HDFS},
		{"hadoop.tmp.dir", filepath.Join(dir, "tmp"+suffix)},
		{"dfs.namenode.name.dir", file("name")},
		{"dfs.datanode.data.dir", file("data" + suffix)},
		{"dfs.namenode.rpc-address", state.HostPort(o.Addrs.HDFS)},
		{"dfs.namenode.http-address", state.HostPort(o.Addrs.Web)},
		{"dfs.datanode.address", anyPort},
		{"dfs.datanode.http.address", anyPort},
		{"dfs.datanode.ipc.address", anyPort},
		{"dfs.datanode.hostname", "127.0.0.1"},
		{"dfs.namenode.datanode.registration.ip-hostname-check", "false"},
		{"dfs.replication", "1"},
		{"dfs.permissions.enabled", "true"},
		// Hadoop's users need not exist on this machine: no look-up of their
		// groups, which fails for every one of them.
		{"hadoop.security.group.mapping", "org.apache.hadoop.security.NullGroupsMapping"},
		// After a restart: ready when the DataNodes have reported every block.
		{"dfs.namenode.safemode.extension", "0"},
		// The DataNodes start together with the NameNode and ask for it often.
		{"ipc.client.connect.retry.interval", "100"},
		{"ipc.client.connect.max.retries", "600"},
	}
	// Of two settings of one name, Hadoop takes the later.
	for _, name := range slices.Sorted(maps.Keys(o.HDFSSettings)) {
		settings = append(settings, property{name, o.HDFSSettings[name]})
	}
	return settings
}

// hdfsPrograms are a NameNode and DataNodes that keep their data in dir.
func hdfsPrograms(ctx context.Context, c *children, dir string, o Options) ([]javaProgram, error) {
	name, err := hadoopProgram(dir, "", o)
	if err != nil {
		return nil, err
	}
	name.name, name.class = nameNode, "org.apache.hadoop.hdfs.server.namenode.NameNode"
	programs := []javaProgram{name}
	for i := range cmp.Or(o.DataNodes, 1) {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%d", i+1)
		}
		data, err := hadoopProgram(dir, suffix, o)
		if err != nil {
			return nil, err
		}
		data.name, data.member, data.class = "datanode"+suffix, true, "org.apache.hadoop.hdfs.server.datanode.DataNode"
		programs = append(programs, data)
	}
	err = prepareOnce(dir, func() error {
		jars, err := paths.ClassPath("hadoop")
		if err != nil {
			return err
		}
		if err := unpackPages(filepath.Dir(jars), name.conf); err != nil {
			return err
		}
		format := name
		format.args = []string{"-format", "-force", "-nonInteractive"}
		return c.run(ctx, format)
	})
	if err != nil {
		return nil, fmt.Errorf("formatting HDFS: %w", err)
	}
	return programs, nil
}

// hadoopProgram is one of Hadoop's, with its settings in a folder in dir that
// has the suffix. It runs as the superuser.
func hadoopProgram(dir, suffix string, o Options) (javaProgram, error) {
	classPath, err := paths.ClassPath("hadoop")
	if err != nil {
		return javaProgram{}, err
	}
	conf := filepath.Join(dir, "conf"+suffix)
	if err := os.MkdirAll(conf, dirMode); err != nil {
		return javaProgram{}, err
	}
	settings, err := xml.MarshalIndent(struct {
		XMLName    xml.Name   `xml:"configuration"`
		Properties []property `xml:"property"`
	}{Properties: hdfsSettings(dir, suffix, o)}, "", "  ")
	if err != nil {
		return javaProgram{}, err
	}
	for _, name := range []string{"core-site.xml", "hdfs-site.xml"} {
		if err := os.WriteFile(filepath.Join(conf, name), settings, fileMode); err != nil {
			return javaProgram{}, err
		}
	}
	return javaProgram{
		conf: conf, heap: hdfsHeap,
		classPath: conf + string(filepath.ListSeparator) + classPath,
		env:       []string{"HADOOP_USER_NAME=" + superuser},
	}, nil
}

// Admin runs one of Hadoop's own programs as the superuser of the stack's HDFS,
// such as "org.apache.hadoop.hdfs.tools.DFSAdmin" with "-safemode", "enter", and
// returns what it printed. If it fails, the error ends with the last lines of
// that, too.
func (s *Stack) Admin(ctx context.Context, class string, args ...string) (string, error) {
	of := s.children.find(nameNode)
	if of == nil {
		return "", fmt.Errorf("running %s: the stack has no HDFS", class)
	}
	program := of.program // for its settings
	program.name = fmt.Sprintf("admin-%d", s.admins.Add(1))
	program.class, program.args = class, args
	failed := s.children.run(ctx, program)
	if failed != nil {
		failed = fmt.Errorf("running %s %q: %w", class, args, failed)
	}
	out, err := os.ReadFile(s.children.logPath(program.name))
	return string(out), errors.Join(failed, err)
}

// dataNodes asks the NameNode which DataNodes have registered and told their
// size, and returns their addresses. One that has died is among them for
// minutes.
func dataNodes(ctx context.Context, a state.Addrs) ([]string, error) {
	var page struct {
		Beans []struct{ LiveNodes string }
	}
	if err := getJSON(ctx, a.Web+"/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo", &page); err != nil {
		return nil, err
	}
	if len(page.Beans) != 1 {
		return nil, errors.New("the NameNode knows nothing of DataNodes yet")
	}
	var nodes map[string]struct {
		Addr     string `json:"xferaddr"`
		Capacity int64
	}
	if err := json.Unmarshal([]byte(page.Beans[0].LiveNodes), &nodes); err != nil {
		return nil, err
	}
	var addrs []string
	for _, n := range nodes {
		if n.Capacity > 0 {
			addrs = append(addrs, n.Addr)
		}
	}
	return addrs, nil
}

// tryHDFS opens the usual folders to everybody, and stores, reads and removes a file,
// all through WebHDFS: there the DataNode is a client of HDFS like any other.
func tryHDFS(ctx context.Context, a state.Addrs) error {
	const (
		file = "/stack-check"
		data = "a file"
		open = "SETPERMISSION&permission=1777" // every user may write, and remove only what is his own
	)
	for _, step := range []struct{ method, path, op, body, want string }{
		{http.MethodPut, "/user", "MKDIRS", "", ""},
		{http.MethodPut, "/tmp", "MKDIRS", "", ""},
		{http.MethodPut, "/", open, "", ""},
		{http.MethodPut, "/user", open, "", ""},
		{http.MethodPut, "/tmp", open, "", ""},
		{http.MethodPut, file, "CREATE&overwrite=true", data, ""},
		{http.MethodGet, file, "OPEN", "", data},
		{http.MethodDelete, file, "DELETE", "", ""},
	} {
		got, err := request(ctx, step.method, a.Web+"/webhdfs/v1"+step.path+"?user.name="+superuser+"&op="+step.op, step.body)
		if err == nil && !strings.Contains(string(got), step.want) {
			err = fmt.Errorf("%s: read %q instead of %q", step.path, got, step.want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
