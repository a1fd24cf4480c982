package hdfs

import (
	"fmt"
	"os"
	"os/user"
	"path"
	"strings"
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
