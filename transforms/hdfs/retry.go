package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"facestream/internal/kerberos"
	"facestream/internal/wait"
)

const (
	// retryBudget is how long a call is tried again: longer than a NameNode takes to
	// restart, a minute of safe mode, and the 5 s for which the library refuses calls
	// after a lost connection. The last try may take the timeouts below beyond it.
	retryBudget    = 90 * time.Second
	retryFirstWait = 50 * time.Millisecond
	retryMaxWait   = 2 * time.Second

	// firstBudget is that of a NameNode or DataNodes that have never answered: the address may
	// be wrong, and somebody waits for an answer. Until then a NameNode has firstTimeout for
	// each, and several are all tried; a DataNode has firstDial, as another try may be given
	// one that works.
	firstBudget  = 8 * time.Second
	firstTimeout = 4 * time.Second
	firstDial    = 2 * time.Second

	dialTimeout = 10 * time.Second
	// nameNodeTimeout is for one read or write on a NameNode connection, so for
	// one call.
	nameNodeTimeout = 15 * time.Second
	// dataNodeTimeout is for one read or write of at most 64 KB, and for the
	// acknowledgement of all replicas. The NameNode chooses the DataNodes of each try,
	// and for ten minutes it may choose one that hangs. The budget has room for eight
	// tries.
	dataNodeTimeout = 10 * time.Second
)

// do runs call for a location until it succeeds, fails for good, or the budget
// is used up. Errors become *fs.PathError.
func (cs *clients) do(ctx context.Context, op string, l location, call func(*client) error) error {
	start, tries := time.Now(), 0
	for pause := retryFirstWait; ; pause = min(2*pause, retryMaxWait) {
		err := interpret(cs.try(ctx, l.account, call))
		if err == nil {
			return nil
		}
		tries++
		if temporary(err) && ctx.Err() == nil {
			budget, why := cs.budget(l.account, err)
			if time.Since(start)+pause < budget || tries <= strings.Count(l.address, ",") {
				if wait.Sleep(ctx, pause) == nil {
					continue
				}
			} else {
				err = wait.Outage(fmt.Errorf("giving up after %v: %w%s", time.Since(start).Round(time.Millisecond), err, why))
			}
		}
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w, the last error was: %w", cause, err)
		}
		return &fs.PathError{Op: op, Path: l.String(), Err: err}
	}
}

// budget returns how long a call that fails with err is tried again, and what may be wrong
// if nothing has answered yet.
func (cs *clients) budget(a account, err error) (_ time.Duration, why string) {
	var dial *net.OpError // to a DataNode: of a NameNode's, the library keeps the text only
	switch {
	case !cs.answers(a) && errors.Is(err, kerberos.ErrNoKDC):
		return firstBudget, ""
	case !cs.answers(a):
		return firstBudget, ": is HDFS running, and has --output the address of a NameNode's RPC, as in fs.defaultFS (8020 is usual)?"
	case errors.As(err, &dial) && dial.Op == "dial" && !cs.writes(a):
		return firstBudget, ": no DataNode can be reached where the NameNode says that it is; have it give an address that this machine knows, or set dfs.client.use.datanode.hostname in $" + confEnv
	}
	return cs.retryBudget, ""
}

// answers reports whether a NameNode of the account has ever answered, so that a failing
// connection is an outage and no wrong address.
func (cs *clients) answers(a account) bool {
	_, answered := cs.answered.Load(a)
	return answered || cs.patient.Load()
}

// writes reports the same of a DataNode.
func (cs *clients) writes(a account) bool { return len(reached(a.address)) > 0 || cs.patient.Load() }

// Patient has this process wait for what has never answered as for what has: that has
// answered whoever has started it.
func Patient() { ofProcess.patient.Store(true) }

func (cs *clients) try(ctx context.Context, a account, call func(*client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := cs.slot(a)
	defer s.calls.Add(-1)
	c, err := cs.get(ctx, s, a)
	if err != nil {
		return err
	}
	if err = call(c); err != nil && c.kerberos != nil {
		err = explainSecurity(err)
	}
	return err
}
