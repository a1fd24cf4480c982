package hdfs

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

func TestParse(t *testing.T) {
	t.Setenv(userEnv, "env-user")
	for name, want := range map[string]location{
		"hdfs://alice@nn:8020/a/b.jpg":  {account{"alice", "nn:8020"}, "/a/b.jpg", "hdfs://alice@nn:8020"},
		"hdfs://nn:8020/a":              {account{"env-user", "nn:8020"}, "/a", "hdfs://nn:8020"},
		"hdfs://@nn:8020/a":             {account{"env-user", "nn:8020"}, "/a", "hdfs://@nn:8020"},
		"hdfs://a@b.c@nn:8020/a":        {account{"a@b.c", "nn:8020"}, "/a", "hdfs://a@b.c@nn:8020"},
		"hdfs://alice@cluster":          {account{"alice", "cluster"}, "/", "hdfs://alice@cluster"},
		"hdfs://alice@nn:1//a/./b/../c": {account{"alice", "nn:1"}, "/a/c", "hdfs://alice@nn:1"},
		"hdfs://alice@nn:1/%2E/a?b#c@d": {account{"alice", "nn:1"}, "/%2E/a?b#c@d", "hdfs://alice@nn:1"},
		"hdfs://alice@nn:1/../../etc":   {account{"alice", "nn:1"}, "/etc", "hdfs://alice@nn:1"},
	} {
		testkit.Gives(parse(name))(t, fmt.Sprintf("parse(%q)", name), want)
	}
	for _, name := range []string{"", "/a", "hdfs:/a", "hdfs://", "hdfs:///a", "hdfs://alice@/a", "memfs://a"} {
		_, err := parse(name)
		testkit.Says(t, name, err, "hdfs://user@host:port/path")
	}
}

func TestResolve(t *testing.T) {
	ha := map[string]string{
		"fs.defaultFS":                       "hdfs://cluster",
		"dfs.ha.namenodes.cluster":           "a, b",
		"dfs.namenode.rpc-address.cluster.a": "nn1:8020",
		"dfs.namenode.rpc-address.cluster.b": "nn2:8020",
	}
	for _, test := range []struct {
		conf       map[string]string
		name, want string // or part of the error
	}{
		{ha, "hdfs:///faces", "hdfs://nn1:8020,nn2:8020/faces"},
		{ha, "hdfs://alice@/faces", "hdfs://alice@nn1:8020,nn2:8020/faces"},
		{ha, "hdfs://alice@cluster/a%20b/", "hdfs://alice@nn1:8020,nn2:8020/a%20b/"},
		{ha, "hdfs://cluster", "hdfs://nn1:8020,nn2:8020"},
		{ha, "hdfs://alice@nn3:9000/faces", "hdfs://alice@nn3:9000/faces"},
		{ha, "hdfs://nn1:8020,nn2:8020/faces", "hdfs://nn1:8020,nn2:8020/faces"},
		{ha, "hdfs://nn3/faces", "write nn3:8020"},
		{ha, "/faces", "hdfs://user@host:port/path"},
		{nil, "hdfs://nn1:8020/faces", "hdfs://nn1:8020/faces"},
		{nil, "hdfs://alice@cluster/faces", "HADOOP_CONF_DIR"},
		{nil, "hdfs:///faces", "write hdfs://HOST:PORT/faces"},
		{map[string]string{"fs.defaultFS": "hdfs://nn:9000/"}, "hdfs:///faces", "hdfs://nn:9000/faces"},
		{map[string]string{"fs.defaultFS": "hdfs://nn"}, "hdfs:///faces", "hdfs://nn:8020/faces"},
		{map[string]string{"fs.default.name": "hdfs://nn:9000"}, "hdfs:///faces", "hdfs://nn:9000/faces"},
		{map[string]string{"fs.defaultFS": "file:///"}, "hdfs:///faces", "file:///, which is no HDFS"},
		{map[string]string{"dfs.ha.namenodes.c": "a", "dfs.namenode.rpc-address.c.another": "nn:8020"}, "hdfs://c/faces", "dfs.namenode.rpc-address.c.a"},
		{map[string]string{"dfs.namenode.rpc-address.single": " nn:8020\n"}, "hdfs://single/faces", "hdfs://nn:8020/faces"},
		{nil, "hdfs://nn:1,b/faces", `"b"`},
		{nil, "hdfs://a:web/faces", `"a:web"`},
		{nil, "hdfs://a:0/faces", `"a:0"`},
	} {
		if writeConf(t, nil); test.conf != nil {
			configure(t, test.conf)
		}
		got, err := Resolve(test.name)
		if strings.HasPrefix(test.want, "hdfs://") && strings.Contains(test.want, "nn") {
			testkit.Must(t, err)
			testkit.Equal(t, test.name, got, test.want)
		} else {
			testkit.Says(t, "Resolve", err, test.want, test.name)
		}
	}
}

// Of two NameNodes the one that hangs is first.
func TestNameService(t *testing.T) {
	nameNode, hangs := hdfsAddress(t), silent(t, new(atomic.Int64))
	configure(t, map[string]string{
		"dfs.ha.namenodes.cluster":             "a,b",
		"dfs.namenode.rpc-address.cluster.a":   hangs,
		"dfs.namenode.rpc-address.cluster.b":   nameNode,
		"dfs.client.use.datanode.hostname":     "false",
		"dfs.namenode.rpc-address.elsewhere.a": "nowhere:1",
	})
	for about, address := range map[string]string{"configured": "cluster", "named": hangs + "," + nameNode} {
		t.Run(about, func(t *testing.T) {
			f := ownClients(time.Second, time.Minute)
			name := folder(t, f, address) + "/a"
			testkit.Must(t, filesystem.Write(context.Background(), f, name, []byte("x")))
			mustHold(t, f, name, "x")
		})
	}
}
