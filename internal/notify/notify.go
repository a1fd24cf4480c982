// Package notify posts events of faces to a URL, window by window and those of a camera in
// order, beside the run. The staged events of a window stay in the output until they are
// delivered: what a run leaves, the next one delivers.
//
// Requests are those of https://www.standardwebhooks.com.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/internal/wait"
)

const (
	mostWindows   = 256 // that wait; the oldest beyond them is dropped
	mostAnswers   = 10  // errors of the server about one event, until it is dropped
	camerasAtOnce = 8
	firstPause    = time.Second
	maxPause      = 30 * time.Second
	answerTimeout = 10 * time.Second
	endTimeout    = 10 * time.Second
)

// Config says where events go.
type Config struct {
	URL    string
	Secret []byte // that signs; nil for no signature
}

// Notifier delivers events.
type Notifier struct {
	cfg    Config
	read   func(ctx context.Context, window string) ([]byte, error)
	warn   func(text string)
	client http.Client
	pause  time.Duration // the first one

	ctx     context.Context
	stop    context.CancelFunc
	working sync.WaitGroup

	mu                 sync.Mutex
	queue              []*queued
	finished           map[string]bool // windows; see Finished
	delivered, dropped int64
	away               bool // whether the server's trouble was told
}

type queued struct {
	window string
	ctx    context.Context // ends when the window is dropped
	drop   context.CancelFunc
	done   chan struct{} // closed when the next window may begin
}

// New returns a notifier. It reads the events of a window, a line each, with read.
func New(cfg Config, read func(ctx context.Context, window string) ([]byte, error), warn func(text string)) *Notifier {
	n := &Notifier{cfg: cfg, read: read, warn: warn, pause: firstPause, finished: map[string]bool{}}
	n.client = http.Client{Timeout: answerTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	n.ctx, n.stop = context.WithCancel(context.Background())
	return n
}

// Add has the events of windows delivered, and never waits. Those that are known are not
// delivered again.
func (n *Notifier) Add(windows ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range windows {
		if n.finished[w] || slices.ContainsFunc(n.queue, func(q *queued) bool { return q.window == w }) {
			continue
		}
		q := &queued{window: w, done: make(chan struct{})}
		q.ctx, q.drop = context.WithCancel(n.ctx)
		var before *queued
		if len(n.queue) > 0 {
			before = n.queue[len(n.queue)-1]
		}
		n.queue = append(n.queue, q)
		n.working.Go(func() { n.work(q, before) })
		// What is dropped is still passed through, to be counted.
		late := slices.DeleteFunc(slices.Clone(n.queue), func(q *queued) bool { return q.ctx.Err() != nil })
		if len(late) > mostWindows {
			late[0].drop()
			n.warn(fmt.Sprintf("--notify: events of more than %d windows wait; those of window %s that are left are dropped", mostWindows, late[0].window))
		}
	}
}

// Finished returns those of the windows that are held whose events are delivered or dropped.
// The others are forgotten: what is held no more is not added again.
func (n *Notifier) Finished(held []string) (windows []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.finished, func(w string, _ bool) bool { return !slices.Contains(held, w) })
	return slices.Collect(maps.Keys(n.finished))
}

// Counts returns how many events were delivered and dropped, and how many windows wait.
func (n *Notifier) Counts() (delivered, dropped, waiting int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.delivered, n.dropped, int64(len(n.queue))
}

// End waits a moment for what is left, unless ctx is over, and says what is left then.
func (n *Notifier) End(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, endTimeout)
	defer stop()
	_ = wait.Until(ctx, 10*time.Millisecond, func() bool { _, _, waiting := n.Counts(); return waiting == 0 })
	n.Stop()
	if _, dropped, waiting := n.Counts(); waiting+dropped > 0 {
		n.warn(fmt.Sprintf("--notify: %d events were dropped; those of %d windows wait for the next run with --notify", dropped, waiting))
	}
}

// Stop ends what is under way.
func (n *Notifier) Stop() {
	n.stop()
	n.working.Wait()
}

// work delivers a window when the one before it, if any, is done.
func (n *Notifier) work(q, before *queued) {
	defer close(q.done)
	if before != nil {
		<-before.done
	}
	if n.ctx.Err() == nil {
		n.deliver(q)
	}
	if n.ctx.Err() != nil { // the next run does what is left
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.finished[q.window] = true
	n.queue = n.queue[1:]
	q.drop()
}

// event is what is needed of a line of events.
type event struct {
	record.ID
	Camera string `json:"camera"`
	Face   int    `json:"face"`

	line []byte
}

// deliver posts the events of a window, those of several cameras at a time.
func (n *Notifier) deliver(q *queued) {
	var data []byte
	n.again(n.ctx, func() (final bool, err error) {
		data, err = n.read(n.ctx, q.window)
		return errors.Is(err, fs.ErrNotExist), err
	})
	cameras := map[string][]event{}
	for line := range bytes.Lines(data) {
		var e event
		if json.Unmarshal(line, &e) == nil { // else verify reports it
			e.line = bytes.TrimSuffix(line, []byte("\n"))
			cameras[e.Camera] = append(cameras[e.Camera], e)
		}
	}
	var lanes errgroup.Group
	lanes.SetLimit(camerasAtOnce)
	for _, events := range cameras {
		lanes.Go(func() error {
			for _, e := range events {
				answers := 0
				ok := n.again(q.ctx, func() (final bool, err error) {
					answered, err := n.post(q.ctx, e)
					if answered {
						answers++
					}
					return answers >= mostAnswers || errors.Is(err, errRefused), err
				})
				n.mu.Lock()
				if ok {
					n.delivered++
				} else if n.ctx.Err() == nil {
					n.dropped++
				}
				n.mu.Unlock()
			}
			return nil
		})
	}
	_ = lanes.Wait() // there is no error
}

// again tries until there is no error, or it is final, with growing pauses. Of errors that
// follow one another it tells the first one.
func (n *Notifier) again(ctx context.Context, try func() (final bool, err error)) bool {
	for pause := n.pause; ; pause = min(2*pause, maxPause) {
		final, err := try()
		if ctx.Err() != nil && err != nil {
			return false
		}
		n.mu.Lock()
		switch {
		case err != nil && !n.away && final:
			n.warn("--notify: " + err.Error() + "; such events are dropped")
		case err != nil && !n.away:
			n.warn("--notify: " + err.Error() + "; trying again")
		case err == nil && n.away:
			n.warn("--notify: " + cli.Address(n.cfg.URL) + " takes events again")
		}
		n.away = err != nil
		n.mu.Unlock()
		if err == nil || final {
			return err == nil
		}
		if wait.Sleep(ctx, pause) != nil {
			return false
		}
	}
}

// errRefused is wrapped by the error of an event that the server does not want.
var errRefused = errors.New("refused")

// post makes one request. Answered is whether the error is the server's own about this event.
func (n *Notifier) post(ctx context.Context, e event) (answered bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.cfg.URL, bytes.NewReader(e.line))
	if err != nil {
		return false, fmt.Errorf("%s is no URL", cli.Address(n.cfg.URL))
	}
	id := fmt.Sprintf("%s+%d+%d+%d", e.Topic, e.Partition, e.Offset, e.Face)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facestream/"+cli.Version)
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	if n.cfg.Secret != nil {
		sum := hmac.New(sha256.New, n.cfg.Secret)
		fmt.Fprintf(sum, "%s.%s.%s", id, at, e.line)
		req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	}
	resp, err := n.client.Do(req)
	if err != nil {
		if wrong, ok := errors.AsType[*url.Error](err); ok { // whose text has the URL in it
			err = wrong.Err
		}
		return false, fmt.Errorf("%s takes no event: %w", cli.Address(n.cfg.URL), err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
	err = fmt.Errorf("%s answers %s", cli.Address(n.cfg.URL), resp.Status)
	switch status := resp.StatusCode; {
	case status < 300:
		return false, nil
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 502 && status <= 504:
		return false, err
	case status >= 500:
		return true, err
	}
	return true, fmt.Errorf("%w: %w", errRefused, err)
}
