package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// newHosts makes a host for each list of processes, on one network with this one, which ends
// with the test. It returns the hosts' addresses by process. They are network namespaces, which
// only root may make, and are called like their addresses; for others all is on this host.
func newHosts(t *testing.T, hosts ...[]string) (addrs map[string]string) {
	t.Helper()
	if testing.Short() || os.Geteuid() != 0 {
		return nil
	}
	id := os.Getpid() % (1 << 14)
	bridge, network := fmt.Sprint("fs-", id), fmt.Sprintf("10.%d.%d.", 64+id>>8, id&0xff)
	ip := func(lines ...string) error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	undo := []string{"link del " + bridge}
	t.Cleanup(func() {
		if err := ip(undo...); err != nil {
			t.Error(err)
		}
	})
	testkit.Must(t, ip("link add "+bridge+" type bridge", "addr add "+network+"254/24 dev "+bridge, "link set "+bridge+" up"))
	addrs = map[string]string{}
	for i, processes := range hosts {
		at, cable := network+fmt.Sprint(i+1), fmt.Sprint(bridge, "-", i)
		testkit.Must(t, ip("netns add "+at))
		undo = append(undo, "netns del "+at)
		testkit.Must(t, ip("link add "+cable+" master "+bridge+" type veth peer name eth0 netns "+at, "link set "+cable+" up"))
		for _, line := range []string{"addr add " + at + "/24 dev eth0", "link set eth0 up", "link set lo up"} {
			testkit.Must(t, exec.Command("ip", append([]string{"-n", at}, strings.Fields(line)...)...).Run())
		}
		for _, name := range processes {
			addrs[name] = at
		}
	}
	return addrs
}
