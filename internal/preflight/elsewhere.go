package preflight

import (
	"net"
	"strings"

	"facestream/internal/cli"
)

// checkBrokers refuses brokers that a cluster on another host would look for on its own.
func (c *Checks) checkBrokers(advertised []string) error {
	if !c.elsewhere() {
		return nil
	}
	if addr := firstLoopback(strings.Split(c.options.Kafka, ",")); addr != "" {
		return cli.Usagef("--kafka=%s is this machine only to itself, and the cluster at %s is another one: give an address that holds on every node", addr, c.options.Runner.Address())
	}
	if addr := firstLoopback(advertised); addr != "" {
		return cli.Usagef("a broker says that it is at %s, which the nodes of the cluster at %s would take for themselves: set its advertised.listeners to an address that holds on every node", addr, c.options.Runner.Address())
	}
	return nil
}

// checkHDFS does so with the NameNodes, and the DataNodes that a file was written to.
func (c *Checks) checkHDFS(dataNodes []string) error {
	if !c.elsewhere() || !c.onHDFS() {
		return nil
	}
	authority, _, _ := strings.Cut(strings.TrimPrefix(c.options.Output, "hdfs://"), "/")
	_, nameNodes, _ := strings.Cut(authority, "@")
	if addr := firstLoopback(strings.Split(nameNodes, ",")); addr != "" {
		return cli.Usagef("--output: the NameNode's address %s is this machine only to itself, and the cluster at %s is another one: give one that holds on every node", addr, c.options.Runner.Address())
	}
	if addr := firstLoopback(dataNodes); addr != "" {
		return cli.Usagef("HDFS says that a DataNode is at %s, which the nodes of the cluster at %s would take for themselves: have it call the NameNode by an address that is not the loopback's (fs.defaultFS)", addr, c.options.Runner.Address())
	}
	return nil
}

// firstLoopback returns the first address, host:port, that is the loopback's by itself. What
// a name means elsewhere is not known here.
func firstLoopback(addrs []string) string {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
			return addr
		}
	}
	return ""
}
