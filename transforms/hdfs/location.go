package hdfs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path"
	"strings"

	"github.com/colinmarc/hdfs/v2/hadoopconf"
)

// userEnv is where Hadoop's own tools look for the user.
const userEnv = "HADOOP_USER_NAME"

// account is a cluster and who we are there.
type account struct {
	user    string
	address string // host:port, or a nameservice
}

// location is a parsed name.
type location struct {
	account
	path   string // absolute and clean
	prefix string // of the name: scheme, user if it was given, address
}

// String returns the name with its user.
func (l location) String() string {
	return scheme + "://" + l.user + "@" + l.address + l.path
}

// parse takes a name apart. It is no URL to net/url: a path may hold percent
// signs, question marks and hashes, which mean themselves.
func parse(name string) (location, error) {
	rest, ok := strings.CutPrefix(name, scheme+"://")
	if !ok {
		return location{}, fmt.Errorf("%q is not of the form hdfs://user@host:port/path", name)
	}
	authority, p, _ := strings.Cut(rest, "/")
	l := location{path: path.Clean("/" + p), prefix: scheme + "://" + authority}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		l.user, l.address = authority[:i], authority[i+1:]
	} else {
		l.address = authority
	}
	if l.address == "" {
		return location{}, fmt.Errorf("%q has no NameNode: write hdfs://user@host:port/path", name)
	}
	if l.user == "" {
		var err error
		if l.user, err = defaultUser(); err != nil {
			return location{}, fmt.Errorf("%q names no user: %w", name, err)
		}
	}
	return l, nil
}

func defaultUser() (string, error) {
	if name := os.Getenv(userEnv); name != "" {
		return name, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("looking up the user of this process (set %s to do without): %w", userEnv, err)
	}
	return u.Username, nil
}

// nameNodes returns the addresses behind the address of a name. A nameservice
// is looked up by its own keys: the library's way mixes several of them.
func nameNodes(address string, conf hadoopconf.HadoopConf) ([]string, error) {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return []string{address}, nil
	}
	ids := conf["dfs.ha.namenodes."+address]
	if ids == "" {
		return nil, fmt.Errorf("%s has no port, and no nameservice of this name is in the configuration of $HADOOP_CONF_DIR: write %s:8020, or set HADOOP_CONF_DIR", address, address)
	}
	var found []string
	for _, id := range strings.Split(ids, ",") {
		key := "dfs.namenode.rpc-address." + address + "." + strings.TrimSpace(id)
		if conf[key] == "" {
			return nil, errors.New("the Hadoop configuration has no " + key)
		}
		found = append(found, conf[key])
	}
	return found, nil
}
