package services

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"facestream/internal/kerberos"
	"facestream/internal/rest"
	"facestream/internal/stack/state"

	"github.com/jcmturner/gokrb5/v8/spnego"
)

const (
	hdfsHeap  = "256m"
	superuser = "hdfs"
	nameNode  = "namenode"
	dataNode  = "datanode"
)

// hdfsSettings are core-site.xml and hdfs-site.xml in one, for the processes whose folders in
// dir have the suffix. A DataNode takes free ports, and names itself by address, so that WebHDFS
// redirects a browser to where it can go without any resolver.
func hdfsSettings(dir, suffix string, secrets secrets, o Options) string {
	host := o.hostOf(dataNode + suffix)
	anyPort := host + ":0"
	file := func(name string) string {
		return (&url.URL{Scheme: "file", Path: filepath.Join(dir, name)}).String()
	}
	settings := [][2]string{
		{"fs.defaultFS", o.Addrs.HDFS},
		{"hadoop.tmp.dir", filepath.Join(dir, "tmp"+suffix)},
		{"dfs.namenode.name.dir", file("name")},
		{"dfs.datanode.data.dir", file("data" + suffix)},
		{"dfs.namenode.rpc-address", state.HostPort(o.Addrs.HDFS)},
		{"dfs.namenode.http-address", state.HostPort(o.Addrs.Web)},
		{"dfs.datanode.address", anyPort},
		{"dfs.datanode.http.address", anyPort},
		{"dfs.datanode.ipc.address", anyPort},
		{"dfs.datanode.hostname", host},
		{"dfs.namenode.datanode.registration.ip-hostname-check", "false"},
		{"dfs.replication", "1"},
		{"dfs.permissions.enabled", "true"},
		// Hadoop's users need not exist on this machine, where each look-up of groups would fail.
		{"hadoop.security.group.mapping", "org.apache.hadoop.security.NullGroupsMapping"},
		// After a restart: ready when the DataNodes have reported every block.
		{"dfs.namenode.safemode.extension", "0"},
		// By default the NameNode looks a hundred times a second for blocks of removed files.
		{"dfs.namenode.block.deletion.unlock.interval.ms", "1000"},
		// The DataNodes start together with the NameNode and ask for it often.
		{"ipc.client.connect.retry.interval", "100"},
		{"ipc.client.connect.max.retries", "600"},
	}
	if secrets != "" {
		settings = append(settings, secrets.hdfs()...)
	}
	settings = slices.DeleteFunc(settings, func(s [2]string) bool { _, other := o.HDFSSettings[s[0]]; return other })
	for _, name := range slices.Sorted(maps.Keys(o.HDFSSettings)) {
		if value := o.HDFSSettings[name]; value != "" {
			settings = append(settings, [2]string{name, value})
		}
	}
	return hadoopXML(settings)
}

// hadoopXML is a file of Hadoop's with settings.
func hadoopXML(settings [][2]string) string {
	var b strings.Builder
	b.WriteString("<configuration>\n")
	for _, s := range settings {
		fmt.Fprintf(&b, "  <property><name>%s</name><value>%s</value></property>\n", html.EscapeString(s[0]), html.EscapeString(s[1]))
	}
	b.WriteString("</configuration>\n")
	return b.String()
}

// hdfsPrograms are a NameNode and DataNodes that keep their data in dir.
func hdfsPrograms(s *Stack, dir string, o Options) ([]javaProgram, error) {
	program := func(name, suffix, class string) javaProgram {
		settings := hdfsSettings(dir, suffix, s.secrets, o)
		return javaProgram{
			name: name + suffix, classes: "hadoop", conf: filepath.Join(dir, "conf"+suffix), readConf: true,
			settings: map[string]string{"core-site.xml": settings, "hdfs-site.xml": settings},
			heap:     hdfsHeap, class: "org.apache.hadoop.hdfs.server." + class, env: []string{"HADOOP_USER_NAME=" + superuser}, jvm: s.secrets.jvm(),
		}
	}
	programs := []javaProgram{program(nameNode, "", "namenode.NameNode")}
	for i := range cmp.Or(o.DataNodes, 1) {
		data := program(dataNode, suffixOf(i), "datanode.DataNode")
		data.member = true
		programs = append(programs, data)
	}
	return programs, nil
}

// suffixOf is what stands behind the names of a member, of which the first is 0.
func suffixOf(member int) string {
	if member == 0 {
		return ""
	}
	return fmt.Sprintf("-%d", member+1)
}

// formatHDFS prepares the NameNode's folders.
func formatHDFS(ctx context.Context, s *Stack, name javaProgram) error {
	name.args = []string{"-format", "-force", "-nonInteractive"}
	return s.run(ctx, name)
}

// Admin runs one of Hadoop's own programs as the superuser of the stack's HDFS, such as
// "org.apache.hadoop.hdfs.tools.DFSAdmin" with "-safemode", "enter", and returns what it printed.
func (s *Stack) Admin(ctx context.Context, class string, args ...string) (string, error) {
	of := s.find(nameNode)
	if of == nil {
		return "", fmt.Errorf("running %s: the stack has no HDFS", class)
	}
	program := of.program // for its settings
	program.name = fmt.Sprintf("admin-%d", s.admins.Add(1))
	program.class, program.args = class, args
	failed := s.run(ctx, program)
	if failed != nil {
		failed = fmt.Errorf("running %s %q: %w", class, args, failed)
	}
	out, err := os.ReadFile(s.logPath(program.name))
	return string(out), errors.Join(failed, err)
}

// dataNodes returns the addresses of DataNodes that have told the NameNode their size, for
// minutes of dead ones, too.
func dataNodes(ctx context.Context, a state.Addrs) ([]string, error) {
	var page struct {
		Beans []struct{ LiveNodes string }
	}
	if err := rest.Get(ctx, a.Web+"/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo", &page); err != nil {
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
func tryHDFS(ctx context.Context, s *Stack) error {
	var client rest.Client = http.DefaultClient
	if s.secrets != "" {
		krb, err := kerberos.Login{Principal: hdfsPrincipal, Keytab: s.secrets.hdfsKeytab(), Config: s.Secret(Krb5Config)}.Client()
		if err != nil {
			return err
		}
		defer krb.Destroy()
		client = spnego.NewClient(krb, nil, webPrincipal)
	}
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
		got, err := rest.Call(ctx, client, step.method, s.Web+"/webhdfs/v1"+step.path+"?user.name="+superuser+"&op="+step.op, step.body)
		if err == nil && !strings.Contains(string(got), step.want) {
			err = fmt.Errorf("%s: read %q instead of %q", step.path, got, step.want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
