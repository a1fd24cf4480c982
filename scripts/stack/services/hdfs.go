package services

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"facestream/runners/parts"
	"facestream/scripts/stack/state"
)

const (
	hdfsHeap  = "256m"
	superuser = "hdfs"
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

// hdfsSettings are core-site.xml and hdfs-site.xml in one. The DataNode takes
// free ports and tells them to the NameNode; it names itself by address, so
// that WebHDFS redirects a browser to where it can go without any resolver.
func hdfsSettings(dir, addr, web string) []property {
	const anyPort = "127.0.0.1:0"
	file := func(name string) string {
		return (&url.URL{Scheme: "file", Path: filepath.Join(dir, name)}).String()
	}
	return []property{
		{"fs.defaultFS", "hdfs://" + addr},
		{"hadoop.tmp.dir", filepath.Join(dir, "tmp")},
		{"dfs.namenode.name.dir", file("name")},
		{"dfs.datanode.data.dir", file("data")},
		{"dfs.namenode.rpc-address", addr},
		{"dfs.namenode.http-address", web},
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
		// After a restart: ready when the one DataNode has reported.
		{"dfs.namenode.safemode.extension", "0"},
		// The DataNode starts together with the NameNode and asks for it often.
		{"ipc.client.connect.retry.interval", "100"},
		{"ipc.client.connect.max.retries", "600"},
	}
}

// startHDFS starts a NameNode and a DataNode in dir and waits until they work.
func startHDFS(ctx context.Context, c *children, dir, addr, web string) error {
	classPath, err := parts.ClassPath("hadoop")
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, dirMode); err != nil {
		return err
	}
	settings, err := xml.MarshalIndent(struct {
		XMLName    xml.Name   `xml:"configuration"`
		Properties []property `xml:"property"`
	}{Properties: hdfsSettings(dir, addr, web)}, "", "  ")
	if err != nil {
		return err
	}
	for _, name := range []string{"core-site.xml", "hdfs-site.xml"} {
		if err := os.WriteFile(filepath.Join(conf, name), settings, fileMode); err != nil {
			return err
		}
	}
	program := javaProgram{
		service: state.HDFS, conf: conf, heap: hdfsHeap,
		classPath: conf + string(filepath.ListSeparator) + classPath,
		env:       []string{"HADOOP_USER_NAME=" + superuser},
	}
	name, data := program, program
	name.name, name.class = "namenode", "org.apache.hadoop.hdfs.server.namenode.NameNode"
	data.name, data.class = "datanode", "org.apache.hadoop.hdfs.server.datanode.DataNode"
	err = prepareOnce(dir, func() error {
		if err := unpackPages(filepath.Dir(classPath), conf); err != nil {
			return err
		}
		format := name
		format.args = []string{"-format", "-force", "-nonInteractive"}
		return c.run(ctx, format)
	})
	if err != nil {
		return fmt.Errorf("formatting HDFS: %w", err)
	}
	nameNode, err := c.start(name)
	if err != nil {
		return err
	}
	dataNode, err := c.start(data)
	if err != nil {
		return err
	}
	return until(ctx, "HDFS at "+addr, func(ctx context.Context) error { return tryHDFS(ctx, addr, web) }, nameNode, dataNode)
}

// tryHDFS opens the usual folders to everybody, and stores, reads and removes
// a file.
func tryHDFS(ctx context.Context, addr, web string) error {
	client, err := dialHDFS(ctx, addr, superuser)
	if err != nil {
		return err
	}
	defer client.Close()
	// Writing before there is a DataNode would only fill the NameNode's log.
	space, err := client.StatFs()
	if err != nil {
		return err
	}
	if space.Capacity == 0 {
		return errors.New("the DataNode has not reported yet")
	}
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
	// The NameNode refuses until the DataNode has reported the block.
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
