package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"facestream/internal/wait"
)

const (
	// retryBudget is how long a call is tried again: longer than a NameNode takes to
	// restart, a minute of safe mode, and the 5 s for which the library refuses calls
	// after a lost connection. The last try may take the timeouts below beyond it.
	retryBudget    = 90 * time.Second
	retryFirstWait = 50 * time.Millisecond
	retryMaxWait   = 2 * time.Second

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

// ErrOutage is wrapped by the error of a call that was tried again until the budget was
// used up: nobody answers, or the NameNode or a DataNode is not ready.
var ErrOutage = errors.New("HDFS is not ready")

// outage is an error that wraps ErrOutage and says nothing of it.
type outage struct{ error }

func (e outage) Unwrap() []error { return []error{e.error, ErrOutage} }

// do runs call for a location until it succeeds, fails for good, or the budget
// is used up. Errors become *fs.PathError.
func (cs *clients) do(ctx context.Context, op string, l location, call func(*client) error) error {
	start := time.Now()
	for pause := retryFirstWait; ; pause = min(2*pause, retryMaxWait) {
		err := interpret(cs.try(ctx, l.account, call))
		if err == nil {
			return nil
		}
		if temporary(err) && ctx.Err() == nil {
			if time.Since(start)+pause < cs.retryBudget {
				if wait.Sleep(ctx, pause) == nil {
					continue
				}
			} else {
				err = outage{fmt.Errorf("giving up after %v: %w", time.Since(start).Round(time.Millisecond), err)}
			}
		}
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w, the last error was: %w", cause, err)
		}
		return &fs.PathError{Op: op, Path: l.String(), Err: err}
	}
}

func (cs *clients) try(ctx context.Context, a account, call func(*client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := cs.get(ctx, a)
	if err != nil {
		return err
	}
	if err = call(c); err != nil && c.kerberos != nil {
		err = explainSecurity(err)
	}
	return err
}
