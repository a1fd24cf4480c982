package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/wait"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// A run without end waits for what may pass, with growing pauses, and says so once. What
// does not pass by itself ends it, and so does whatever it is that lasts, but an outage.
func TestPersist(t *testing.T) {
	down := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	unknown := &net.OpError{Op: "dial", Err: &net.DNSError{Name: "kafak", IsNotFound: true}}
	for name, tc := range map[string]struct {
		err      error
		fails    int  // times, then it works
		begun    bool // a window, before that
		bounded  bool
		attempts int // that are wanted
		took     time.Duration
	}{
		"nothing is wrong":                 {nil, 0, false, false, 1, 0},
		"no broker answers":                {wait.ErrOutage, 9, false, false, 10, (1 + 2 + 4 + 8 + 16 + 32 + 3*60) * time.Second},
		"no NameNode answers for a week":   {wait.ErrOutage, 7*24*60 + 6, true, false, 7*24*60 + 7, (63 + 7*24*3600) * time.Second},
		"a service refuses":                {down, 1, false, false, 2, time.Second},
		"a bounded run":                    {down, 1, true, true, 1, 0},
		"no such host":                     {unknown, 1, false, false, 1, 0},
		"the host was there before":        {unknown, 1, true, false, 2, time.Second},
		"no such topic":                    {kafka.ErrUnknownTopic, 1, true, false, 1, 0},
		"another run":                      {store.ErrHeld, 1, true, false, 1, 0},
		"no permission":                    {&fs.PathError{Err: fs.ErrPermission}, 1, true, false, 1, 0},
		"it fails before the first window": {errors.New("job"), 1, false, false, 1, 0},
		"a later window fails":             {errors.New("job"), 3, true, false, 4, 7 * time.Second},
		"all windows fail since some time": {errors.New("job"), 99, true, false, 21, (63 + 14*60) * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				s := &session{log: cli.NewLog(&out, cli.LogPlain, slog.LevelWarn), asked: t.Context(), begun: tc.begun, options: config.Options{Duration: config.Forever}}
				if tc.bounded {
					s.options.Duration = time.Hour
				}
				began, attempts := time.Now(), 0
				err := s.persist(t.Context(), func() error {
					if attempts++; attempts <= tc.fails {
						return fmt.Errorf("attempt %d: %w", attempts, tc.err)
					}
					return nil
				})
				if took := time.Since(began); attempts != tc.attempts || took != tc.took || (err == nil) != (attempts > tc.fails) {
					t.Errorf("%d attempts in %s, %v; want %d in %s", attempts, took, err, tc.attempts, tc.took)
				}
				lines := 0
				if attempts > 1 {
					lines++
					if err == nil {
						lines++
					}
				}
				if got := strings.Count(out.String(), "\n"); got != lines {
					t.Errorf("it says %q", out.String())
				}
			})
		})
	}
}

// A run that is asked to end does not wait any more, and has its time for the window
// under way.
func TestAskedToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, ask := context.WithCancel(t.Context())
		s := &session{log: slog.Default(), asked: asked, options: config.Options{Duration: config.Forever, DrainTimeout: time.Minute}}
		ctx, stop := s.endInTime(t.Context())
		defer stop()
		began := time.Now()
		time.AfterFunc(time.Hour, ask)
		if err := s.persist(ctx, func() error { return wait.ErrOutage }); !errors.Is(err, wait.ErrOutage) || time.Since(began) != time.Hour || ctx.Err() != nil {
			t.Errorf("after %s: %v, %v", time.Since(began), err, ctx.Err())
		}
		<-ctx.Done()
		if took := time.Since(began); took != time.Hour+time.Minute {
			t.Errorf("the window under way was ended after %s", took)
		}
	})
}
