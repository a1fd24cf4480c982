package runners

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"facestream/internal/yarnrm"
	"facestream/runners/jobserver"
	"facestream/transforms/hdfs"
)

// YARN is a Config.Master: the cluster whose settings are in $HADOOP_CONF_DIR. Spark starts
// an application there for each run. Of Flink, a session must run there.
const YARN = "yarn"

// amMB is what Spark's ApplicationMaster takes, by Spark's own defaults.
const amMB = 1024

// onYARN is where a run's jobs are done.
type onYARN struct {
	config  string // folder of Hadoop's settings
	web     string // of the ResourceManager
	id      string // of Flink's session
	tag     string // of Spark's application
	program string // that is brought to its containers; empty if the nodes have it
}

// findYARN looks for the ResourceManager.
func findYARN(ctx context.Context) (*onYARN, error) {
	ctx, stop := context.WithTimeout(ctx, firstTimeout)
	defer stop()
	config, settings, err := hdfs.YARNSettings()
	if err != nil {
		return nil, err
	}
	web, err := yarnrm.Web(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("asking YARN's ResourceManager for --master=yarn, as $HADOOP_CONF_DIR (%s) names it: %w", config, err)
	}
	return &onYARN{config: config, web: web}, nil
}

// openYARN completes c with what YARN says.
func openYARN(ctx context.Context, c *Config) (*onYARN, error) {
	y, err := findYARN(ctx)
	if err != nil {
		return nil, err
	}
	if c.Name == Flink {
		session, err := y.flinkSession(ctx)
		c.Master = session.RPC
		y.id = session.ID
		return y, err
	}
	y.tag = "facestream-" + strings.ToLower(rand.Text())
	if c.Worker == "" {
		if y.program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("looking for this program, which YARN is to bring to the nodes: %w (or give --worker)", err)
		}
	}
	if c.Parallelism == 0 {
		c.Parallelism, _, err = y.room(ctx, *c)
	}
	return y, err
}

// room returns how many executors the cluster has room for now, and the same in words. That
// there is room for none is an error, unless c says how many the run is to wait for.
func (y *onYARN) room(ctx context.Context, c Config) (n int, says string, err error) {
	free, err := yarnrm.AskRoom(ctx, y.web)
	if err != nil {
		return 0, "", fmt.Errorf("asking YARN what is free: %w (or give --parallelism)", err)
	}
	each := int(executorMB(c) + jobserver.OverheadMB)
	n = max(0, min(free.Cores-1, (free.MB-amMB)/each))
	says = fmt.Sprintf("YARN at %s has room for %d executors of %d MB, as %d MB and %d cores are free on %d nodes",
		y.web, n, each, free.MB, free.Cores, free.Nodes)
	if n == 0 && c.Parallelism == 0 {
		err = fmt.Errorf("%s: wait, or give --parallelism to have the run wait", says)
	}
	return n, says, err
}

// executorMB is the heap of an executor, which holds a window twice as read and as passed on.
func executorMB(c Config) int64 { return 512 + 4*c.MaxBytes>>20 }

// AskYARN returns how many executors of a run of Spark YARN has room for, and the same in
// words. None is an error if the run is not to wait, as c.Parallelism has it.
func AskYARN(ctx context.Context, c Config) (n int, says string, err error) {
	y, err := findYARN(ctx)
	if err != nil {
		return 0, "", err
	}
	return y.room(ctx, c)
}

const flinkType = "Apache Flink"

// flinkAt returns host:port of the REST API of Flink at master.
func flinkAt(ctx context.Context, master string) (string, error) {
	if master != YARN {
		return master, nil
	}
	y, err := findYARN(ctx)
	if err != nil {
		return "", err
	}
	session, err := y.flinkSession(ctx)
	return session.RPC, err
}

// flinkSession returns the only session of Flink.
func (y *onYARN) flinkSession(ctx context.Context) (yarnrm.Application, error) {
	all, err := yarnrm.Applications(ctx, y.web, url.Values{"states": {"RUNNING"}, "applicationTypes": {flinkType}})
	if err != nil {
		return yarnrm.Application{}, fmt.Errorf("looking for a session of Flink on YARN: %w", err)
	}
	var found []string
	for _, a := range all {
		found = append(found, fmt.Sprintf("--master=%s for %s of %s, %q", a.RPC, a.ID, a.User, a.Name))
	}
	switch len(all) {
	case 0:
		return yarnrm.Application{}, fmt.Errorf("no session of Flink runs on YARN at %s: start one with Flink's yarn-session.sh", y.web)
	case 1:
		return all[0], nil
	}
	return yarnrm.Application{}, fmt.Errorf("%d sessions of Flink run on YARN at %s: give %s", len(all), y.web, strings.Join(found, ", or "))
}

// spark is the job server's part for YARN.
func (y *onYARN) spark(c Config) jobserver.YARN {
	if y == nil || c.Name != Spark {
		return jobserver.YARN{}
	}
	s := jobserver.YARN{
		Config: y.config, Tag: y.tag, Executors: c.Parallelism, HeapMB: executorMB(c), Worker: y.program,
		Env: []string{"HADOOP_USER_NAME=" + c.User},
	}
	if c.Login.Keytab != "" {
		s.Env = []string{"KRB5PRINCIPAL=" + c.Login.Principal, "KRB5KEYTAB=" + c.Login.Keytab}
		s.JVM = []string{"-Dspark.kerberos.principal=" + c.Login.Principal, "-Dspark.kerberos.keytab=" + c.Login.Keytab}
	}
	return s
}

// explain adds to an error what YARN says of the application, and where its logs are.
func (y *onYARN) explain(err error) error {
	if y == nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), answerTimeout)
	defer stop()
	query := url.Values{"applicationTags": {y.tag}}
	if y.id != "" {
		query = url.Values{"applicationTypes": {flinkType}}
	}
	apps, askErr := yarnrm.Applications(ctx, y.web, query)
	apps = slices.DeleteFunc(apps, func(a yarnrm.Application) bool { return y.id != "" && a.ID != y.id })
	if askErr != nil || len(apps) == 0 {
		return err
	}
	app := apps[0]
	return fmt.Errorf("%w; YARN says of application %s: %s %s (its logs: yarn logs -applicationId %s -appOwner %s)",
		err, app.ID, app.State, strings.TrimSpace(app.Diagnostics), app.ID, app.User)
}
