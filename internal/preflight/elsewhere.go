package preflight

import (
	"cmp"
	"net"
	"strings"

	"facestream/internal/cli"
)

// checkBrokers refuses brokers that a cluster on another host would look for on its own.
func (c *Checks) checkBrokers(advertised []string) error {
	return cmp.Or(
		c.refuseLoopback(strings.Split(c.options.Kafka, ","), "--kafka=%s is this machine only to itself, and the cluster at %s is another one: give an address that holds on every node"),
		c.refuseLoopback(advertised, "a broker says that it is at %s, which the nodes of the cluster at %s would take for themselves: set its advertised.listeners to an address that holds on every node"),
	)
}

// checkHDFS does so with the NameNodes, and the DataNodes that a file was written to.
func (c *Checks) checkHDFS(dataNodes []string) error {
	if !c.onHDFS() {
		return nil
	}
	authority, _, _ := strings.Cut(strings.TrimPrefix(c.options.Output, "hdfs://"), "/")
	_, nameNodes, _ := strings.Cut(authority, "@")
	return cmp.Or(
		c.refuseLoopback(strings.Split(nameNodes, ","), "--output: the NameNode's address %s is this machine only to itself, and the cluster at %s is another one: give one that holds on every node"),
		c.refuseLoopback(dataNodes, "HDFS says that a DataNode is at %s, which the nodes of the cluster at %s would take for themselves: have it call the NameNode by an address that is not the loopback's (fs.defaultFS)"),
	)
}

// refuseLoopback returns an error of a format, with the first address that is the loopback's by
// itself, not by a name that may mean another one there, if the cluster is elsewhere.
func (c *Checks) refuseLoopback(addrs []string, format string) error {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) && c.elsewhere() {
			return cli.Usagef(format, addr, c.options.Runner.Address())
		}
	}
	return nil
}
