package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"slices"
	"time"

	"facestream/internal/proc"
	"facestream/internal/wait"
)

const (
	// leaseFolder holds a file for each group and topic that a run reads, below the root.
	leaseFolder    = "_leases"
	leaseExtension = ".json"
	// turnFolder has a file for each lease that a run is taking away.
	turnFolder = tmpDir + "/leases"

	// leaseRenewal is how often a run says that it goes on, and leaseTerm how long a
	// lease lives without that: as long as the file system's budget, and more.
	leaseRenewal = 20 * time.Second
	leaseTerm    = 2 * time.Minute
	// leaseWriting is more than the time from making a lease's file to filling it.
	leaseWriting = 5 * time.Second
)

// ErrHeld is wrapped by the error of a run that finds another one at work.
var ErrHeld = errors.New("another run is at work")

// ErrLost is wrapped by the error of a run whose lease another one has taken over.
var ErrLost = errors.New("the lease is lost")

// Holder says which run has a lease, as its file does.
type Holder struct {
	Run    string    `json:"run"` // Config.Run
	Group  string    `json:"group"`
	Topic  string    `json:"topic"`
	Host   string    `json:"host"`
	Kernel string    `json:"kernel"` // proc.Kernel
	PID    int       `json:"pid"`
	Born   string    `json:"process_start"` // proc.Process.Born
	User   string    `json:"user"`          // of the operating system
	Since  time.Time `json:"since"`
}

func (h Holder) String() string {
	if h.Run == "" {
		return "a run that has not said who it is"
	}
	return fmt.Sprintf("run %s (process %d of user %s on host %s, since %s)", h.Run, h.PID, h.User, h.Host, h.Since.Format(time.RFC3339))
}

// holderIn returns what the file of a lease says, and nothing of one that is not whole.
func holderIn(data []byte) (h Holder) {
	if json.Unmarshal(data, &h) != nil {
		return Holder{}
	}
	return h
}

// ended reports whether the run's process is surely gone, which only a process of the
// same host can tell.
func (h Holder) ended() bool {
	kernel, err := proc.Kernel()
	return err == nil && kernel == h.Kernel && !proc.Process{PID: h.PID, Born: h.Born}.Alive()
}

func thisProcess(run, group string) (Holder, error) {
	h := Holder{Run: run, Group: group, PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second)}
	self, err := proc.NewProcess("this one", h.PID, "")
	if err == nil {
		h.Born = self.Born
		h.Kernel, err = proc.Kernel()
	}
	if err == nil {
		h.Host, err = os.Hostname()
	}
	if me, err := user.Current(); err == nil {
		h.User = me.Username
	} else { // an id without a name will do
		h.User = fmt.Sprint(os.Getuid())
	}
	return h, err
}

// Lease makes a run the only one that reads some topics as a group into an output.
// It is a file for each topic, made where there was none, so that of two runs one is
// refused, and written again every leaseRenewal. A run that was stopped for longer
// than leaseTerm may find another one in its place: so Check asks, before anything is
// done that must be done once.
type Lease struct {
	// TakenOver says of each lease that was another run's why it no longer is.
	TakenOver []string

	cfg   Config
	term  time.Duration
	held  map[string][]byte // what the files hold, by name below the root
	stop  func()
	ended chan struct{}
}

// Acquire gets the lease of a group for topics; the error wraps ErrHeld if another run
// has one of them. The context ends with the caller's, and with ErrLost as its cause
// when the lease is lost. The caller must call Release.
func Acquire(ctx context.Context, cfg Config, group string, topics []string) (*Lease, context.Context, error) {
	return acquire(ctx, cfg, group, topics, leaseRenewal, leaseTerm)
}

func acquire(ctx context.Context, cfg Config, group string, topics []string, renewal, term time.Duration) (*Lease, context.Context, error) {
	l := &Lease{cfg: cfg, term: term, held: map[string][]byte{}, stop: func() {}, ended: make(chan struct{})}
	holder, err := thisProcess(cfg.Run, group)
	// All in the same order: of two runs, one gets them all.
	for _, topic := range slices.Compact(slices.Sorted(slices.Values(topics))) {
		if err != nil {
			break
		}
		holder.Topic = topic
		var data []byte
		if data, err = json.MarshalIndent(holder, "", "  "); err == nil {
			err = l.acquire(ctx, leasePath(group, topic), append(data, '\n'))
		}
	}
	if err != nil {
		close(l.ended)
		l.Release(ctx)
		return nil, nil, fmt.Errorf("making sure that no other run of group %s is at work: %w", group, err)
	}
	held, lose := context.WithCancelCause(ctx)
	renewing, stop := context.WithCancel(held)
	l.stop = stop
	go func() {
		defer close(l.ended)
		tick := time.NewTicker(renewal)
		defer tick.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-tick.C:
			}
			// Any other error may pass, and Check meets it if not.
			if err := l.renew(renewing); errors.Is(err, ErrLost) {
				lose(err)
				return
			}
		}
	}()
	return l, held, nil
}

// leasePath is the place of a lease below the root:
//
//	_leases/<group>+<topic>.json
//
// with both escaped as in Name.Path, and cut if they are too long together.
func leasePath(group, topic string) string {
	name := escape(group) + "+" + escape(topic)
	if len(name) > maxPart {
		name = cut(name, name)
	}
	return leaseFolder + "/" + name + leaseExtension
}

// acquire makes the file of one lease.
func (l *Lease) acquire(ctx context.Context, name string, data []byte) error {
	for {
		err := l.cfg.createNew(ctx, name, data)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		found, err := lookAtLease(ctx, l.cfg, name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // its holder has just ended
			continue
		case err != nil:
			return err
		case bytes.Equal(found.data, data):
			l.held[name] = data
			return nil
		case found.holder.Run != "" || found.renewed >= leaseWriting: // else somebody is making it
			why := found.free(l.term)
			if why == "" {
				return found.refusal(l.term)
			}
			taken, err := takeAway(ctx, l.cfg, name, found.data)
			if err != nil {
				return err
			}
			if taken {
				l.TakenOver = append(l.TakenOver, fmt.Sprintf("taking over from %s: %s", found.holder, why))
				continue
			}
		}
		if err := wait.Sleep(ctx, leaseWriting/50); err != nil {
			return err
		}
	}
}

// lease is what is found in the file of one.
type lease struct {
	data    []byte
	holder  Holder // empty if the file is not whole
	renewed time.Duration
}

func lookAtLease(ctx context.Context, cfg Config, name string) (l lease, err error) {
	at, err := cfg.Modified(ctx, name)
	if err == nil {
		l.data, err = cfg.Read(ctx, name)
	}
	if err != nil {
		return l, err
	}
	l.holder = holderIn(l.data)
	now, err := clock(ctx, cfg)
	l.renewed = max(0, now.Sub(at))
	return l, err
}

// free says why a lease may be taken over; nothing if it may not.
func (l lease) free(term time.Duration) string {
	switch {
	case l.holder.Run != "" && l.holder.ended():
		return "its process has ended"
	case l.holder.Run == "" && l.renewed >= leaseWriting:
		return "it ended while it made the lease" // if not, it finds another's in place of its own
	case l.renewed >= term:
		return fmt.Sprintf("it has not renewed its lease for %s", l.renewed.Round(time.Second))
	}
	return ""
}

func (l lease) refusal(term time.Duration) error {
	return fmt.Errorf("%w: topic %s is read by %s, which renewed its lease %s ago; without that it would be free in %s: wait for its end or stop it, or give another --group or --output",
		ErrHeld, cmp.Or(l.holder.Topic, "(unknown)"), l.holder, l.renewed.Round(time.Second), (term - l.renewed).Round(time.Second))
}

// takeAway removes a lease that holds data, and reports whether it has. Of several runs
// one at a time does, so that none removes what another has made since it looked. What a
// killed one leaves keeps others from it for leaseTerm.
func takeAway(ctx context.Context, cfg Config, name string, data []byte) (taken bool, err error) {
	turn := path.Join(turnFolder, path.Base(name))
	if err := cfg.createNew(ctx, turn, data); errors.Is(err, fs.ErrExist) {
		at, err := cfg.Modified(ctx, turn)
		if err == nil {
			var now time.Time
			if now, err = clock(ctx, cfg); err == nil && now.Sub(at) >= leaseTerm {
				err = cfg.remove(ctx, turn)
			}
		}
		return false, ignoreGone(err)
	} else if err != nil {
		return false, err
	}
	got, err := cfg.Read(ctx, name)
	if err == nil && (len(got) == 0 || bytes.Equal(got, data)) {
		taken, err = true, cfg.remove(ctx, name)
	}
	return taken, errors.Join(ignoreGone(err), cfg.remove(context.WithoutCancel(ctx), turn))
}

// Check returns an error that wraps ErrLost if another run has taken over. A lease
// that somebody has removed is made anew.
func (l *Lease) Check(ctx context.Context) error {
	for name, data := range l.held {
		if err := l.check(ctx, name, data); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lease) check(ctx context.Context, name string, data []byte) error {
	got, err := l.cfg.Read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.cfg.createNew(ctx, name, data); errors.Is(err, fs.ErrExist) {
			got, err = l.cfg.Read(ctx, name)
		} else {
			got = data
		}
	}
	if err != nil {
		return fmt.Errorf("looking at the lease %s: %w", l.cfg.path(name), err)
	}
	if bytes.Equal(got, data) {
		return nil
	}
	return fmt.Errorf("%w: %s has taken over, since this run had not renewed it for %s; what is under way is not kept", ErrLost, holderIn(got), l.term)
}

func (l *Lease) renew(ctx context.Context) error {
	begin := time.Now()
	if err := l.Check(ctx); err != nil {
		return err
	}
	for name, data := range l.held {
		if err := l.cfg.put(ctx, name, data); err != nil {
			return err
		}
	}
	if took := time.Since(begin); took >= l.term {
		return fmt.Errorf("%w: renewing it took %s, in which another run may have begun", ErrLost, took.Round(time.Second))
	}
	return nil
}

// Release gives the lease back, also after the end of ctx. What it cannot remove is
// free as soon as the process has ended.
func (l *Lease) Release(ctx context.Context) {
	l.stop()
	<-l.ended
	ctx = context.WithoutCancel(ctx)
	for name, data := range l.held {
		if got, err := l.cfg.Read(ctx, name); err == nil && bytes.Equal(got, data) {
			_ = l.cfg.remove(ctx, name)
		}
	}
	removeFolders(ctx, l.cfg)
}

// removeFolders removes the folders that leases need, if nobody has a file in them.
func removeFolders(ctx context.Context, cfg Config) {
	for _, folder := range []string{leaseFolder, turnFolder, cfg.tmp(), tmpDir} {
		_ = cfg.remove(ctx, folder)
	}
}

// Held returns an error that wraps ErrHeld if a run is at work, so that Acquire would
// refuse another one.
func Held(ctx context.Context, cfg Config, group string, topics []string) error {
	defer removeFolders(ctx, cfg)
	for _, topic := range topics {
		found, err := lookAtLease(ctx, cfg, leasePath(group, topic))
		if err == nil && found.free(leaseTerm) == "" {
			err = found.refusal(leaseTerm)
		}
		if err := ignoreGone(err); err != nil {
			return err
		}
	}
	return nil
}
