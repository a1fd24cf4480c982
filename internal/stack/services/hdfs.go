package services

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

const (
	hdfsHeap  = "256m"
	superuser = "hdfs"
	nameNode  = "namenode"
	dataNode  = "datanode"
	checkFile = "/stack-check" // exists for a moment during the start

	// openMode lets every user of the stack write, and remove only what is
	// his own. These are Hadoop's bits, not those of fs.FileMode.
	openMode = 0o1777

	closePause = 5 * time.Millisecond // until a file's last block is reported
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
		{"fs.defaultFS", "hdfs://" + o.HDFSAddr},
		{"hadoop.tmp.dir", filepath.Join(dir, "tmp"+suffix)},
		{"dfs.namenode.name.dir", file("name")},
		{"dfs.datanode.data.dir", file("data" + suffix)},
		{"dfs.namenode.rpc-address", o.HDFSAddr},
		{"dfs.namenode.http-address", o.WebAddr},
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

// startHDFS starts a NameNode and DataNodes in dir and waits until they work.
func startHDFS(ctx context.Context, c *children, dir string, o Options, check *check) error {
	name, err := hadoopProgram(dir, "", o)
	if err != nil {
		return err
	}
	name.name, name.role, name.class = nameNode, head, "org.apache.hadoop.hdfs.server.namenode.NameNode"
	programs := []javaProgram{name}
	members := cmp.Or(o.DataNodes, 1)
	for i := range members {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%d", i+1)
		}
		data, err := hadoopProgram(dir, suffix, o)
		if err != nil {
			return err
		}
		data.name, data.role, data.class = dataNode+suffix, member, "org.apache.hadoop.hdfs.server.datanode.DataNode"
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
		return fmt.Errorf("formatting HDFS: %w", err)
	}
	var procs []*child
	for _, p := range programs {
		proc, err := c.start(p)
		if err != nil {
			return err
		}
		procs = append(procs, proc)
	}
	return until(ctx, check.what, func(ctx context.Context) error {
		// Writing before there is a DataNode would only fill the NameNode's log.
		if err := check.registered(ctx, nil, members); err != nil {
			return err
		}
		return check.works(ctx)
	}, procs...)
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
		service: state.HDFS, conf: conf, heap: hdfsHeap,
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
func dataNodes(ctx context.Context, web string) ([]string, error) {
	var page struct {
		Beans []struct{ LiveNodes string }
	}
	if err := getJSON(ctx, "http://"+web+"/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo", &page); err != nil {
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

// tryHDFS opens the usual folders to everybody, and stores, reads and removes
// a file.
func tryHDFS(ctx context.Context, addr, web string) error {
	client, err := dialHDFS(ctx, addr, superuser)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, dir := range []string{"/", "/user", "/tmp"} {
		if err := client.MkdirAll(dir, dirMode); err != nil {
			return err
		}
		if err := client.Chmod(dir, openMode); err != nil {
			return err
		}
	}
	// An earlier round may have left the file.
	if err := client.Remove(checkFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	want := []byte("a file")
	if err := writeFile(ctx, client, checkFile, want); err != nil {
		return err
	}
	got, err := client.ReadFile(checkFile)
	if err != nil {
		return err
	}
	gotWeb, err := readWeb(ctx, web, checkFile)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) || !bytes.Equal(gotWeb, want) {
		return fmt.Errorf("read %q, and %q through WebHDFS, instead of %q", got, gotWeb, want)
	}
	return client.Remove(checkFile)
}

// dialHDFS returns a client whose connections end with ctx's deadline.
func dialHDFS(ctx context.Context, addr, user string) (*hdfs.Client, error) {
	dialer := func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok {
			return conn, conn.SetDeadline(deadline)
		}
		return conn, nil
	}
	return hdfs.NewClient(hdfs.ClientOptions{
		Addresses: []string{addr}, User: user, NamenodeDialFunc: dialer, DatanodeDialFunc: dialer,
	})
}

// writeFile stores a new file.
func writeFile(ctx context.Context, client *hdfs.Client, name string, data []byte) error {
	w, err := client.Create(name)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return errors.Join(err, w.Close())
	}
	// The NameNode refuses until a DataNode has reported the block.
	for {
		err := w.Close()
		if !hdfs.IsErrReplicating(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(closePause):
		}
	}
}

// readWeb reads a file through WebHDFS as a browser does: the NameNode
// redirects to the DataNode.
func readWeb(ctx context.Context, web, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+web+"/webhdfs/v1"+name+"?op=OPEN", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading %s through WebHDFS: %s: %s", name, resp.Status, data)
	}
	return data, nil
}
