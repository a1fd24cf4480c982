// Package run reads the records of topics in windows until a time is over. A window is
// a Beam job of its own: it is done when its ledger is kept and its offsets are
// committed, in this order.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/metrics"
	"facestream/internal/notify"
	"facestream/internal/paths"
	"facestream/internal/preflight"
	"facestream/internal/record"
	"facestream/internal/wait"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// pollInterval is how often an idle run looks for new records.
	pollInterval = 250 * time.Millisecond
	// firstRate is the records per second assumed for the first window, before
	// any was measured: what one core does with the default parameters.
	firstRate = 10
	// maxRepeats is how often in a row a window is read again because records
	// were passed over.
	maxRepeats = 3
	// gatherTimeout is for gathering ledgers after a run that has failed.
	gatherTimeout = 20 * time.Second
	// maxLog bounds each log of the run, in bytes: a run without end adds to them at each window.
	maxLog = 8 << 20
)

// Window is what the graph of one window needs to know. It stores the pictures of
// records, a line for each face, a file about each record that is rejected, and under
// the window's name a ledger that says what became of each record.
type Window struct {
	Name      string
	Runner    string // one of runners.Names
	Reader    string // one of kafka.Readers
	Read      kafka.Window
	Expansion string // host:port of the expansion service; empty for kafka.Native
	Frame     frame.Config
	Face      face.Params
	Sampling  face.Sampling
	Output    face.Output
	Store     store.Config
}

// Build adds the graph of a window to a pipeline.
type Build func(s beam.Scope, w Window) error

// session is what the windows of a run share.
type session struct {
	options config.Options
	build   Build
	dir     string // of this run's logs and temporary files
	window  Window // without what differs from one window to the next
	about   store.Run
	log     *slog.Logger
	summary *Summary
	offsets *kafka.Offsets
	runner  runners.Runner
	book    *store.Book
	lease   *store.Lease
	latest  store.Latest // the picture that face.jpg is a copy of
	// recordBytes is the size of records, as far as it is known.
	recordBytes int64
	followed    bool            // whether the last window has also read what came
	retainAt    time.Time       // when to look for what is too old
	asked       context.Context // ends when the run is asked to end behind the window under way
	done        int             // windows that are, and those without records
	begun       bool            // a window, so the settings are right
	away        time.Time       // since when something keeps the run from working; see persist
	outage      bool            // whether it is known what

	expansion *runners.Expansion // nil if another one is used, or none
	progress  *progress
	server    *metrics.Server // nil without --metrics, as the next
	metrics   *runMetrics
	notifier  *notify.Notifier // nil without --notify
}

// Run reads windows until the duration is over. Logs and temporary files go to dir. On a
// terminal the last line of out tells the progress. The summary is never nil.
func Run(ctx context.Context, o config.Options, build Build, dir string, out io.Writer) (*Summary, error) {
	summary := NewSummary(o.Runner.Name, time.Now())
	s := &session{options: o, build: build, dir: dir, summary: summary, recordBytes: firstRecordBytes}
	s.progress = &progress{session: s, local: !o.Runner.Cluster()}
	if o.LogFormat != cli.LogJSON && o.LogLevel <= slog.LevelInfo {
		if s.progress.screen = cli.NewScreen(out); s.progress.screen != nil {
			out = s.progress.screen
		}
	}
	s.log = cli.NewLog(out, o.LogFormat, o.LogLevel)
	s.asked = cli.Draining(ctx, func() {
		s.log.Info(fmt.Sprintf("asked to end: behind the window under way, within %s; once more, at once", o.DrainTimeout))
	})
	err := s.run(ctx)
	switch {
	case err == nil:
		summary.end(stateDone)
	case ctx.Err() != nil:
		summary.end(stateCancelled)
	default:
		summary.end(stateFailed)
	}
	if summary.RecordsRead > 0 || err == nil {
		var table strings.Builder
		summary.print(&table)
		s.log.Info(fmt.Sprintf("\n%s after %.0f s\n%spictures: %s", summary.State, summary.Seconds, &table, o.Output), "summary", summary)
	}
	return summary, err
}

func (s *session) run(ctx context.Context) error {
	o := &s.options
	if err := s.describe(store.UniqueName(s.summary.Start)); err != nil {
		return err
	}
	if o.Metrics != "" {
		var err error
		if s.server, err = metrics.Listen(o.Metrics); err != nil {
			return err
		}
		defer s.server.Close()
		s.metrics = newRunMetrics(s.server, o.Write, o.Topics)
		s.log.Info("metrics are at http://" + s.server.Addr + "/metrics")
	}
	ctx, stop := s.endInTime(ctx)
	defer stop()
	var checks *preflight.Checks
	var held context.Context
	err := s.persist(ctx, func() (err error) {
		// The rest of them look while the runner starts.
		checks = preflight.Start(ctx, *o, s.window.Store)
		if err = checks.Essential(ctx, s.warnings()); err == nil {
			s.lease, held, err = store.Acquire(ctx, s.window.Store, o.Group, o.Topics)
		}
		if err != nil {
			checks.Stop()
		}
		return err
	})
	if err != nil {
		return err
	}
	defer checks.Stop()
	s.offsets = checks.Offsets
	defer s.lease.Release(ctx)
	for _, text := range s.lease.TakenOver {
		s.log.Warn(text)
	}
	if o.Notify.URL != "" {
		s.startNotifying()
		defer s.notifier.Stop()
	}
	err = s.persist(held, func() error {
		err := s.runAlone(held, checks)
		checks = nil
		return err
	})
	if cause := context.Cause(held); err != nil && (errors.Is(cause, store.ErrLost) || errors.Is(cause, errDrained)) {
		err = cause
	}
	return err
}

// runAlone is what a run does while it has the lease. Without checks, these are done.
func (s *session) runAlone(ctx context.Context, checks *preflight.Checks) error {
	o := &s.options
	// What this user may not remove is no reason not to run.
	_ = store.Clean(ctx, s.window.Store)
	// Also after a cancelled run. What it cannot remove, a later run does.
	defer func() { _ = store.End(context.WithoutCancel(ctx), s.window.Store) }()
	var err error
	if s.runner, err = runners.Open(ctx, o.Runner); err != nil {
		return err
	}
	defer s.runner.Close()
	switch {
	case o.OwnExpansion():
		s.expansion = runners.NewExpansion(s.dir)
		defer s.expansion.Close()
		err = s.expansion.Start(ctx)
	case o.ExpansionAddr != "": // Beam would wait for it without an end
		err = runners.AskExpansion(ctx, o.ExpansionAddr)
	}
	if err != nil {
		return err
	}
	if checks != nil {
		err = checks.Rest(ctx, s.warnings())
	} else {
		err = store.Check(ctx, s.window.Store) // what a job says of an outage nobody understands
	}
	if err != nil {
		return err
	}
	if err := s.openBook(ctx); err != nil {
		return err
	}
	// Also after a failure: events that count are published. What is not, the next run does.
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherTimeout)
		defer cancel()
		_ = s.gather(ending)
	}()
	// The duration is that of reading: it does not pay for the start.
	deadline, until := time.Now().Add(o.Duration), "it is stopped"
	if o.Duration != config.Forever {
		until = deadline.Format(time.TimeOnly)
	}
	if !s.begun {
		s.log.Info(fmt.Sprintf("reading %s at %s as group %s on %s, until %s",
			strings.Join(o.Topics, ", "), o.Kafka, o.Group, o.Runner.Name, until), "topics", o.Topics, "group", o.Group, "runner", o.Runner.Name)
	}
	defer s.reportProgress(ctx)()
	if err := s.readWindows(ctx, deadline); err != nil {
		return err
	}
	if s.notifier != nil {
		s.notifier.End(ctx)
	}
	if err := s.gather(ctx); err != nil {
		return err
	}
	s.summary.end(stateDone)
	return store.WriteSuccess(ctx, s.window.Store, s.summary.success(s.about))
}

// warnings is a writer of lines, each of them a warning.
func (s *session) warnings() io.Writer {
	return slog.NewLogLogger(s.log.Handler(), slog.LevelWarn).Writer()
}

// reportProgress reports the progress until stop is called.
func (s *session) reportProgress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopWatching := store.Watch(s.window.Store, func(l store.Ledger) {
		s.progress.see(l)
		if s.metrics != nil {
			s.metrics.see(l)
		}
	})
	var done sync.WaitGroup
	done.Go(func() { s.progress.report(ctx) })
	if s.metrics != nil {
		done.Go(func() { s.metrics.followLag(ctx, s.progress) })
	}
	s.server.SetReady("")
	return func() {
		s.server.SetReady("not reading: the run is ending, or waits for a service")
		cancel()
		done.Wait()
		stopWatching()
	}
}

// describe sets what the stages of the run need to know, and what its ledgers
// say of it.
func (s *session) describe(run string) error {
	o := s.options
	s.options.Runner.Dir = s.dir
	s.window = Window{
		Runner: o.Runner.Name, Reader: o.Reader, Frame: o.Frame, Face: o.Face, Sampling: o.Sampling, Output: o.Write, Store: store.Config{Root: o.Output, Run: run, SegmentBytes: o.SegmentBytes, HoldEvents: o.Notify.URL != ""},
		Read: kafka.Window{Brokers: o.Kafka, Topics: o.Topics, Group: o.Group, Consumer: o.Consumer, Security: o.Security.String(), TogetherMillis: o.Sampling.TogetherMillis()},
	}
	s.about = store.Run{ID: run, Group: o.Group, Runner: o.Runner.Name}
	settings, err := face.SettingsOf(o.Frame, o.Face, o.Write)
	if err == nil {
		settings.MaxFPS, settings.Cooldown = o.Sampling.Frames.MaxFPS, o.Sampling.CooldownMillis
		s.about.Settings, s.about.SettingsSHA256, err = settings.JSON()
	}
	s.window.Output.SettingsSHA256 = s.about.SettingsSHA256
	return err
}

// readWindows runs one window after the other until the deadline.
func (s *session) readWindows(ctx context.Context, deadline time.Time) error {
	o, summary := s.options, s.summary
	rate, repeats := float64(firstRate), 0
	for time.Until(deadline) > 0 && s.asked.Err() == nil {
		if err := s.retain(ctx); err != nil {
			return err
		}
		if err := paths.CutLogs(s.dir, maxLog); err != nil {
			slog.Warn("bounding the logs", "error", err)
		}
		began := time.Now()
		limit := min(o.Window, time.Until(deadline))
		if o.Drain {
			limit = 0
		}
		records, err := s.waitForRecords(ctx, limit)
		if err != nil {
			return err
		}
		if records == 0 && (o.Drain || s.asked.Err() != nil) {
			return nil
		}
		summary.Windows++
		if records == 0 {
			s.done++
			s.recovered()
			s.log.Info(fmt.Sprintf("window %d: no records for %.0f s", summary.Windows, time.Since(began).Seconds()), "window", summary.Windows, "records_read", 0)
			continue
		}
		began = time.Now()
		limit = min(o.Window, max(time.Until(deadline), time.Second))
		records = min(records, int64(math.Ceil(rate*limit.Seconds())))
		s.begun = true
		if s.outage {
			s.recovered()
		}
		s.progress.begin(summary.Windows)
		ledger, err := s.readWindow(ctx, records, limit)
		if err != nil {
			s.progress.end(nil, 0)
		}
		if again(err) && repeats < maxRepeats {
			s.log.Warn(fmt.Sprintf("window %d: %v, which can happen while a runner recovers; reading the window again", summary.Windows, err))
			repeats++
			continue
		}
		if err != nil {
			return fmt.Errorf("window %d: %w", summary.Windows, err)
		}
		repeats = 0
		s.done++
		s.recovered()
		summary.Add(ledger)
		reportLost(s.log, ledger)
		lag, err := s.lag(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		sum := ledger.Sum()
		measured := float64(sum.Read) / took.Seconds()
		s.progress.end(&ledger, measured)
		if s.metrics != nil {
			s.metrics.end(ledger, s.progress.local, took)
		}
		if sum.Read > 0 {
			s.recordBytes = max(1, sum.ReadBytes/sum.Read)
		}
		// A short window says little, most of it is start-up; and one that has waited for
		// records, too.
		if took > o.Window/4 && !s.followed || measured > rate {
			rate = max(measured, 1/o.Window.Seconds())
		}
		latency, percentiles := "", ledger.Latency.Percentiles()
		if percentiles != nil {
			latency = ", " + percentiles.String()
		}
		s.log.Info(fmt.Sprintf("window %d: %d records, %d frames with faces, %d faces, %d files, %.1f frames/s, lag %d%s%s",
			summary.Windows, sum.Read, sum.FramesWithFaces, sum.Faces, sum.Files, measured, lag, problems(sum), latency),
			"window", summary.Windows, "seconds", took.Seconds(), "records_read", sum.Read, "skipped", sum.Skipped, "sampled", sum.Sampled, "rejected", sum.Rejected,
			"frames_with_faces", sum.FramesWithFaces, "faces", sum.Faces, "cooled", sum.Cooled, "files_written", sum.Files, "bytes_written", sum.Bytes,
			"frames_per_second", measured, "lag", lag, "latency_ms", percentiles)
	}
	return nil
}

// waitForRecords returns how many records the next window may read, as soon as there are
// any; 0 after limit without. It gathers ledgers when it is time.
func (s *session) waitForRecords(ctx context.Context, limit time.Duration) (records int64, err error) {
	deadline := time.Now().Add(limit)
	for {
		records, err := s.plan(ctx)
		if err == nil && s.book.Due(records == 0) {
			err = s.gather(ctx)
		}
		left := time.Until(deadline)
		if err != nil || records > 0 || left <= 0 || s.asked.Err() != nil {
			return records, err
		}
		if err := wait.Sleep(ctx, min(left, pollInterval)); err != nil {
			return records, err
		}
	}
}

// readWindow runs one window as a Beam job, keeps its ledger, commits it, and
// returns the ledger.
//
// A runner that has lost a part of the records that KafkaIO read may read again, and what it
// reads then may be another mix of the partitions than what is done already. So
// records may have been passed over, or counted twice: then no ledger is kept and nothing
// is committed, and the error is a *kafka.GapError or a *store.WrongError.
func (s *session) readWindow(ctx context.Context, records int64, limit time.Duration) (store.Ledger, error) {
	o, w := s.options, s.window.Following(s.book.Carry())
	w.Name = store.UniqueName(time.Now())
	w.Expansion, w.Read.MaxSeconds = o.ExpansionAddr, max(1, int64(limit.Seconds()))
	if err := s.prepare(ctx, &w, records); err != nil {
		return store.Ledger{}, err
	}
	p, scope := beam.NewPipelineWithRoot()
	if err := s.build(scope, w); err != nil {
		return store.Ledger{}, err
	}
	following, stopFollowing := ctx, func() {}
	if s.followed {
		following, stopFollowing = s.follow(ctx, w.Name, limit)
	}
	watched, stop := watch(following, o.Window+o.StallTimeout, func(ctx context.Context) (time.Time, error) {
		return store.LastWrite(ctx, s.window.Store)
	})
	err := s.runner.Run(watched, "facestream-"+w.Name, p)
	stop()
	stopFollowing()
	if err != nil {
		return store.Ledger{}, err
	}
	ledger, err := store.ReadWritten(ctx, s.window.Store, w.Name)
	if err != nil {
		return store.Ledger{}, errors.Join(errors.New("the runner says DONE, but the window left no ledger"), err)
	}
	review, err := s.offsets.Review(ctx, done(ledger))
	if err != nil {
		return store.Ledger{}, s.takeBack(ctx, ledger, err)
	}
	for _, l := range review.Lost {
		ledger.AddLost(l)
	}
	for i := range ledger.Partitions {
		p := &ledger.Partitions[i]
		for _, f := range review.From {
			if f.TopicPartition == p.TopicPartition {
				p.From = f.Offset
			}
		}
	}
	if err := s.lease.Check(ctx); err != nil {
		return store.Ledger{}, err
	}
	wrong := ledger
	if ledger, err = s.book.Keep(ctx, w.Name, ledger, review.Next); err != nil {
		return store.Ledger{}, s.takeBack(ctx, wrong, err)
	}
	if s.notifier != nil && ledger.Sum().Events > 0 {
		s.notifier.Add(w.Name)
	}
	// Another run that has taken over meanwhile reads what it does not find committed.
	if err := s.lease.Check(ctx); err != nil {
		return store.Ledger{}, err
	}
	if err := s.keepLatest(ctx, ledger.Latest); err != nil {
		return store.Ledger{}, err
	}
	return ledger, s.offsets.Commit(ctx, review)
}

// keepLatest makes face.jpg a copy of a picture if that is later than the run's others.
func (s *session) keepLatest(ctx context.Context, latest store.Latest) error {
	if !s.options.Latest || !s.latest.Before(latest) {
		return nil
	}
	s.latest = latest
	return store.KeepLatest(ctx, s.window.Store, latest)
}

// gather publishes what the windows have left, while no other run does.
func (s *session) gather(ctx context.Context) error {
	if err := s.lease.Check(ctx); err != nil {
		return err
	}
	if err := s.book.Gather(ctx); err != nil || s.notifier == nil {
		return err
	}
	return s.book.Release(ctx, s.notifier.Finished(s.book.Held()))
}

// startNotifying starts what tells of faces.
func (s *session) startNotifying() {
	s.notifier = notify.New(s.options.Notify, func(ctx context.Context, window string) ([]byte, error) {
		return store.StagedEvents(ctx, s.window.Store, s.options.Group, s.options.Topics, window)
	}, func(text string) { s.log.Warn(text) })
	if s.server != nil {
		registerNotifier(s.server, s.notifier)
	}
}

// openBook sets where the run begins: where the output's ledgers end, or where the group
// has committed if that is further.
func (s *session) openBook(ctx context.Context) error {
	logs, err := s.offsets.Logs(ctx)
	if err != nil {
		return err
	}
	committed, err := s.offsets.Committed(ctx)
	if err != nil {
		return err
	}
	var partitions []record.TopicPartition
	for _, l := range logs {
		partitions = append(partitions, l.TopicPartition)
	}
	s.about.TopicIDs = s.offsets.TopicIDs()
	if s.book, err = store.OpenBook(ctx, s.window.Store, s.about, s.options.Topics, partitions); err != nil {
		return err
	}
	if s.notifier != nil {
		s.notifier.Add(s.book.Held()...)
	}
	for _, note := range s.book.Notes {
		s.log.Warn("warning: " + note)
	}
	const (
		forgotten = "group %s has no offset in Kafka of partitions in the ledgers: %d; going on where the ledgers end, such as %s"
		before    = "group %s stands in Kafka before the end of the ledgers in partitions: %d; going on where the ledgers end, such as %s"
		beyond    = "group %s stands in Kafka beyond the end of the ledgers in partitions: %d; going on where it stands, such as %s"
	)
	differ := map[string][]record.ID{}
	for _, id := range s.book.Positions() {
		has := slices.IndexFunc(committed, func(c record.ID) bool { return c.TopicPartition == id.TopicPartition })
		switch {
		case has < 0:
			differ[forgotten] = append(differ[forgotten], id)
		case committed[has].Offset < id.Offset:
			differ[before] = append(differ[before], id)
		case committed[has].Offset > id.Offset:
			differ[beyond] = append(differ[beyond], committed[has])
		}
	}
	for text, ids := range differ {
		s.log.Warn(fmt.Sprintf(text, s.options.Group, len(ids), ids[0]))
	}
	s.offsets.Advance(s.book.Positions())
	if err := s.offsets.Restore(ctx); err != nil {
		return err
	}
	// An earlier run may have ended between a ledger and this. The picture may be gone since.
	if err := s.keepLatest(ctx, s.book.Latest()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func done(l store.Ledger) []record.Offsets {
	var out []record.Offsets
	for _, p := range l.Partitions {
		out = append(out, record.Offsets{TopicPartition: p.TopicPartition, Ranges: p.Offsets})
	}
	return out
}

// reportLost says which records a window did not find any more.
func reportLost(log *slog.Logger, l store.Ledger) {
	for _, p := range l.Partitions {
		for _, r := range p.Lost {
			log.Warn(fmt.Sprintf("lost: offsets %d to %d of %s; Kafka removed them before they were read (see the topic's retention)", r.First, r.Last, p.TopicPartition),
				"topic", p.Topic, "partition", p.Partition, "first", r.First, "last", r.Last)
		}
	}
}

// problems is the end of a window's line when records gave no frame, or frames
// with faces no picture.
func problems(sum store.Partition) string {
	var text string
	if rejected := sum.RejectedSum(); sum.Skipped+rejected > 0 {
		text = fmt.Sprintf(", %d skipped, %d rejected", sum.Skipped, rejected)
	}
	if sum.Sampled > 0 {
		text += fmt.Sprintf(", %d sampled out", sum.Sampled)
	}
	if sum.Cooled > 0 {
		text += fmt.Sprintf(", %d cooling down", sum.Cooled)
	}
	return text
}
