package hdfs

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"

	"github.com/colinmarc/hdfs/v2/hadoopconf"
)

// userEnv is where Hadoop's own tools look for the user.
const userEnv = "HADOOP_USER_NAME"

// account is a cluster and who we are there.
type account struct {
	user    string
	address string // host:port, several of them with commas, or a nameservice
}

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
	user, address, p, err := split(name)
	if err != nil {
		return location{}, err
	}
	l := location{
		account: account{user: strings.TrimSuffix(user, "@"), address: address},
		path:    path.Clean("/" + p),
		prefix:  scheme + "://" + user + address,
	}
	if l.address == "" {
		return location{}, fmt.Errorf("%q has no NameNode: write hdfs://user@host:port/path", name)
	}
	if l.user == "" {
		if l.user, err = defaultUser(); err != nil {
			return location{}, fmt.Errorf("%q names no user: %w", name, err)
		}
	}
	return l, nil
}

// split cuts a name into its user, with the "@" behind it if there is one, its
// address and its path.
func split(name string) (user, address, path string, err error) {
	rest, ok := strings.CutPrefix(name, scheme+"://")
	if !ok {
		return "", "", "", fmt.Errorf("%q is not of the form hdfs://user@host:port/path", name)
	}
	authority, path := rest, ""
	if i := strings.Index(rest, "/"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	at := strings.LastIndex(authority, "@") + 1
	return authority[:at], authority[at:], path, nil
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

const (
	confEnv = "HADOOP_CONF_DIR"

	// Keys of Hadoop's configuration; the nameservice, and the id of a NameNode
	// of it, follow.
	nameNodesKey  = "dfs.ha.namenodes."
	rpcAddressKey = "dfs.namenode.rpc-address."

	// defaultPort is a NameNode's where fs.defaultFS names none.
	defaultPort = ":8020"
)

// Resolve returns name with the addresses of its NameNodes in place of what only
// the configuration in $HADOOP_CONF_DIR knows: a nameservice, or no host at all,
// as in hdfs:///faces, for that of fs.defaultFS. User and path stay as they are.
// Workers then need no configuration. A name with addresses is returned as it
// is. The error says what would be right.
func Resolve(name string) (string, error) {
	user, address, path, err := split(name)
	if err != nil {
		return "", err
	}
	conf, err := loadConf()
	if err != nil {
		return "", err
	}
	if address == "" {
		if address, err = defaultAddress(conf); err != nil {
			return "", fmt.Errorf("%q has no NameNode, and %w: write hdfs://HOST:PORT%s", name, err, path)
		}
	}
	addresses, err := nameNodes(address, conf)
	if err != nil {
		return "", fmt.Errorf("looking up the NameNode of %q: %w", name, err)
	}
	return scheme + "://" + user + strings.Join(addresses, ",") + path, nil
}

// defaultAddress returns the address in fs.defaultFS, or its older name.
func defaultAddress(conf hadoopconf.HadoopConf) (string, error) {
	value := strings.TrimSpace(conf["fs.defaultFS"])
	if value == "" {
		value = strings.TrimSpace(conf["fs.default.name"])
	}
	if value == "" {
		return "", fmt.Errorf("there is no fs.defaultFS in %s", confPlace())
	}
	_, address, _, err := split(value)
	if err != nil || address == "" {
		return "", fmt.Errorf("fs.defaultFS in %s is %s, which is no HDFS", confPlace(), value)
	}
	if !strings.Contains(address, ":") && conf[nameNodesKey+address] == "" && conf[rpcAddressKey+address] == "" {
		address += defaultPort
	}
	return address, nil
}

// nameNodes returns the addresses behind the address of a name. A nameservice
// is looked up by its own keys: the library's way mixes several of them.
func nameNodes(address string, conf hadoopconf.HadoopConf) ([]string, error) {
	if strings.ContainsAny(address, ",:") {
		addresses := strings.Split(address, ",")
		for _, a := range addresses {
			if !hostPort(a) {
				return nil, fmt.Errorf("%q is not of the form HOST:PORT", a)
			}
		}
		return addresses, nil
	}
	keys := []string{rpcAddressKey + address}
	if ids := conf[nameNodesKey+address]; ids != "" {
		keys = nil
		for _, id := range strings.Split(ids, ",") {
			keys = append(keys, rpcAddressKey+address+"."+strings.TrimSpace(id))
		}
	} else if conf[keys[0]] == "" {
		return nil, fmt.Errorf("%s has no port, and there is no nameservice of this name in %s: write %s%s, or set %s", address, confPlace(), address, defaultPort, confEnv)
	}
	var found []string
	for _, key := range keys {
		a := strings.TrimSpace(conf[key])
		if !hostPort(a) {
			return nil, fmt.Errorf("%s in %s is %q, not of the form HOST:PORT", key, confPlace(), a)
		}
		found = append(found, a)
	}
	return found, nil
}

func hostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// confPlace returns where the Hadoop configuration is expected, for error texts.
func confPlace() string {
	if dir := os.Getenv(confEnv); dir != "" {
		return "the configuration of $" + confEnv + " (" + dir + ")"
	}
	return "the configuration of $" + confEnv + " (not set)"
}
