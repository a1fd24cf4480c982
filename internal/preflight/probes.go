package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// probedRecords are enough to know a camera by.
	probedRecords = 20
	// How many cameras a line names, and how much of each name.
	maxCameras, maxCameraName = 3, 40

	// lowBytes is little room on any disk. HDFS and a quota must also hold the files that are
	// written at once, which are whole blocks until they are closed.
	lowBytes = 1 << 30
	lowFiles = 16
	lowNames = 1000 // files and folders of a quota
)

func (c *Checks) probeKafka(ctx context.Context) (f finding, err error) {
	o := c.options
	offsets, err := kafka.Connect(ctx, o.Kafka, o.Group, o.Topics, o.Security.Options()...)
	if err != nil {
		return f, err
	}
	offsets.Uncommitted = kafka.ReadsUncommitted(o.Consumer)
	c.Offsets = offsets
	asking, stop := context.WithTimeout(ctx, brokerTimeout)
	defer stop()
	cluster, err := offsets.Cluster(asking)
	if err != nil {
		f.warn("it does not tell its version: %v", err)
	}
	for _, err := range cluster.Unreachable {
		f.warn("%v", err)
	}
	if err := c.checkBrokers(cluster.Addrs); err != nil {
		return f, err
	}
	f.says = fmt.Sprintf("%s answers, %s", o.Kafka, cli.Count(cluster.Brokers, "broker"))
	if cluster.Version != "" {
		f.says += ", Kafka " + strings.TrimPrefix(cluster.Version, "v")
	}
	if cluster.MaxMessageBytes > 0 {
		f.says += fmt.Sprintf(", messages of up to %d bytes", cluster.MaxMessageBytes)
	}
	return f, nil
}

func (c *Checks) probeGroup(ctx context.Context) (f finding, err error) {
	f.says = "no consumer is a member of " + c.options.Group
	err = c.Offsets.Idle(ctx)
	if err != nil && !errors.Is(err, kafka.ErrGroupInUse) { // a user may lack the permission to ask
		f.says = "not told"
		f.warn("%v", err)
		err = nil
	}
	return f, err
}

func (c *Checks) probeTopic(ctx context.Context, name string) (f finding, err error) {
	o := c.options
	if err := c.Offsets.Exists(name); err != nil {
		return f, fmt.Errorf("%w (make it, or name one that exists with --topics)", err)
	}
	topic, err := c.Offsets.Topic(ctx, name)
	if err != nil {
		return f, err
	}
	f.says = fmt.Sprintf("%s, %s, %d waiting for group %s", cli.Count(topic.Partitions, "partition"), cli.Count(topic.Records, "record"), topic.Waiting, o.Group)
	switch {
	case topic.MaxMessageBytes == 0:
		f.says += "; its limit of a message is not told"
	case topic.OwnLimit:
		f.says += fmt.Sprintf("; messages of up to %d bytes", topic.MaxMessageBytes)
	}
	if topic.Lost > 0 {
		f.warn("Kafka has removed %s that group %s had still to read: run more often, or give the topic a longer retention", cli.Count(topic.Lost, "record"), o.Group)
	}
	if topic.Records == 0 {
		return f, nil
	}
	var seen contents
	sample, err := c.Offsets.Probe(ctx, name, probedRecords, func(r kafka.Record) { seen.add(o.Frame, r) })
	if err != nil {
		f.warn("%v", err)
		return f, nil
	}
	if sample.Records == 0 {
		return f, nil
	}
	f.says += fmt.Sprintf("; the last %d: %d bytes on average, the largest %d; %s; from %s",
		sample.Records, sample.Bytes/int64(sample.Records), sample.Largest, seen.formats(), seen.cameras())
	c.warnOfSizes(&f, topic, sample)
	if r := seen.reject; r != nil {
		f.warn("%d of the last %d records would be rejected, such as offset %d of partition %d: %s%s",
			seen.rejected, sample.Records, r.Offset, r.Partition, r.Detail, remedy(r.Reason))
	}
	if seen.undated > 0 {
		f.warn("%d of the last %d records have a timestamp that is no time from 2000 to 2100, such as %d of offset %d of partition %d%s: their pictures go to folders named undated (send milliseconds since 1970)",
			seen.undated, sample.Records, seen.odd.Timestamp, seen.odd.Offset, seen.odd.Partition, unitOf(seen.odd.Timestamp))
	}
	return f, nil
}

// unitOf says of which unit an undated timestamp is, if it is a time in that.
func unitOf(number int64) string {
	for _, unit := range []struct {
		name   string
		millis int64
	}{{"seconds", number * 1000}, {"microseconds", number / 1e3}, {"nanoseconds", number / 1e6}} {
		if record.Dated(unit.millis) {
			return " (these look like " + unit.name + ")"
		}
	}
	return ""
}

// warnOfSizes compares the sizes of records with what they must pass through.
func (c *Checks) warnOfSizes(f *finding, topic kafka.Topic, sample kafka.Sample) {
	if limit := topic.MaxMessageBytes; limit > 0 && sample.LargestPlain > limit {
		f.warn("a record has %d bytes, and the topic takes no more of this size: raise its max.message.bytes, which is %d", sample.LargestPlain, limit)
	}
	if limit := c.options.WindowBytes; sample.Largest > limit {
		f.warn("a record has %d bytes, more than a window may hold: raise --window_bytes, which is %d", sample.Largest, limit)
	}
	for _, key := range []string{"fetch.max.bytes", "max.partition.fetch.bytes"} {
		limit, err := strconv.ParseInt(c.options.Consumer[key], 10, 64)
		if err == nil && sample.Largest > limit {
			f.warn("a record has %d bytes, so that each is fetched by itself: raise --consumer_config=%s=%d, or leave it out", sample.Largest, key, limit)
		}
	}
}

// contents is what some records were found to be.
type contents struct {
	kinds    map[string]int // by format, or by reason of the reject
	names    map[string]bool
	rejected int           // not skipped
	reject   *frame.Reject // the first of these
	undated  int
	odd      kafka.Record // the first of these, without its value
}

func (s *contents) add(cfg frame.Config, r kafka.Record) {
	if s.kinds == nil {
		s.kinds, s.names = map[string]int{}, map[string]bool{}
	}
	if !record.Dated(r.Timestamp) {
		if s.undated++; s.undated == 1 {
			s.odd, s.odd.Value = r, nil
		}
	}
	f, reject := frame.Parse(cfg, &r)
	if reject == nil {
		reject = face.Check(cfg, f)
	}
	if reject == nil {
		s.kinds[f.Format]++
		s.names[f.Camera] = true
		return
	}
	s.kinds[reject.Reason]++
	s.names[reject.Camera] = true
	if !reject.Skipped() {
		s.rejected++
		s.reject = cmp.Or(s.reject, reject)
	}
}

func (s *contents) formats() string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		all = append(all, fmt.Sprintf("%s %d", kind, s.kinds[kind]))
	}
	return strings.Join(all, ", ")
}

func (s *contents) cameras() string {
	names := slices.Sorted(maps.Keys(s.names))
	for i, name := range names {
		if utf8.RuneCountInString(name) > maxCameraName {
			name = string([]rune(name)[:maxCameraName]) + "..."
		}
		// A name may be any text, and this goes to a terminal.
		quoted := strconv.Quote(name)
		names[i] = quoted[1 : len(quoted)-1]
	}
	text := "camera " + strings.Join(names[:min(len(names), maxCameras)], ", ")
	if more := len(names) - maxCameras; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// remedy says what to do about rejected records.
func remedy(reason string) string {
	switch reason {
	case frame.WrongSize:
		return " (send a content-type header, or give --frame_size=WIDTHxHEIGHT)"
	case frame.UnsupportedFormat:
		return " (send JPEG)"
	case frame.TooLarge:
		return " (send smaller frames)"
	}
	return " (check what sends it)"
}

func (c *Checks) probeOutput(ctx context.Context) (f finding, err error) {
	o := c.options
	f.says = fmt.Sprintf("%s can be written", o.Output)
	if c.onHDFS() {
		f.says += " as " + o.User
	} else if o.Runner.Cluster() {
		f.warn("it is a folder of this machine: nodes of the cluster that are other machines would write to folders of their own; give an hdfs:// name")
	}
	if err := store.Check(ctx, c.store); err != nil {
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) { // a file, which stays one
			return f, cli.Usagef("--output: %w", err)
		}
		return f, fmt.Errorf("--output: %w", err)
	}
	return f, c.checkHDFS(hdfs.DataNodes(o.Output))
}

func (c *Checks) probeLease(ctx context.Context) (f finding, err error) {
	f.says = fmt.Sprintf("no other run of group %s is at work", c.options.Group)
	return f, store.Held(ctx, c.store, c.options.Group, c.options.Topics)
}

func (c *Checks) probeLedgers(ctx context.Context) (f finding, err error) {
	f.says = "of no other topics than these"
	return f, store.CheckTopics(ctx, c.store, c.Offsets.TopicIDs())
}

func (c *Checks) onHDFS() bool { return strings.HasPrefix(c.options.Output, "hdfs://") }

func (c *Checks) probeSpace(ctx context.Context) (f finding, err error) {
	s, err := store.RoomFor(ctx, c.store)
	if err != nil {
		f.says = "not told"
		f.warn("%v", err)
		return f, nil
	}
	f.says = fmt.Sprintf("%s of %s free", cli.ByteCount(s.Free), cli.ByteCount(s.Capacity))
	if s.Owner != "" {
		f.says += fmt.Sprintf("; %s belongs to %s", s.Folder, s.Owner)
	}
	if s.Free < max(lowBytes, lowFiles*s.Block) {
		f.warn("only %s are free where the pictures go: remove files, or choose another --output", cli.ByteCount(s.Free))
	}
	for _, q := range s.Quotas {
		if q.Names >= 0 {
			f.says += fmt.Sprintf("; quota of %s: %d of %d names left", q.Folder, q.NamesLeft, q.Names)
			if q.NamesLeft < lowNames {
				f.warn("%s may hold %s more: remove some, choose another --output, or have an administrator raise the quota",
					q.Folder, cli.Count(max(0, q.NamesLeft), "file"))
			}
		}
		if q.Bytes >= 0 {
			f.says += fmt.Sprintf("; quota of %s: %s of %s left", q.Folder, cli.ByteCount(q.BytesLeft), cli.ByteCount(q.Bytes))
			if q.BytesLeft < lowFiles*s.Block {
				f.warn("%s may hold %s more, replicas included, and each file takes %s while it is written: remove files, choose another --output, or have an administrator raise the quota",
					q.Folder, cli.ByteCount(max(0, q.BytesLeft)), cli.ByteCount(s.Block))
			}
		}
	}
	return f, nil
}

func (c *Checks) probeDetector(context.Context) (f finding, err error) {
	// It was loaded when the options were read.
	settings, err := face.SettingsOf(c.options.Frame, c.options.Face, c.options.Write)
	f.says = fmt.Sprintf("%s loads in OpenCV %s, SHA-256 %s", c.options.Model, face.OpenCVVersion(), cmp.Or(settings.ModelSHA256, settings.CascadeSHA256))
	if c.options.Profile != "" {
		f.says += fmt.Sprintf("; for profiles %s, SHA-256 %s", c.options.Profile, settings.ProfileSHA256)
	}
	return f, err
}

func (c *Checks) probeJava(ctx context.Context) (f finding, err error) {
	program, version, err := runners.Java(ctx)
	if err != nil {
		return f, err
	}
	f.says = fmt.Sprintf("%s is Java %s", program, version)
	digits, _, _ := strings.Cut(version, ".") // 1 of Java 8
	switch major, err := strconv.Atoi(digits); {
	case err == nil && major < runners.JavaVersion:
		return f, fmt.Errorf("%s is Java %s, which is too old for Beam's parts: set JAVA_HOME to a Java %d", program, version, runners.JavaVersion)
	case major != runners.JavaVersion:
		f.warn("Java %s was not tried with Beam's parts: set JAVA_HOME to a Java %d", version, runners.JavaVersion)
	}
	return f, nil
}

func (c *Checks) probeParts(context.Context) (f finding, err error) {
	found, err := runners.Parts(c.options.Runner, c.options.OwnExpansion())
	f.says = "Beam's Java parts: " + strings.Join(found, ", ")
	return f, err
}

func (c *Checks) probeExpansion(ctx context.Context) (f finding, err error) {
	addr := c.options.ExpansionAddr
	f.says = addr + " answers"
	if err := runners.AskExpansion(ctx, addr); err != nil {
		return f, fmt.Errorf("%w (start it, or leave --expansion_addr out)", err)
	}
	return f, nil
}

func (c *Checks) probeJobServer(ctx context.Context) (f finding, err error) {
	o := c.options.Runner
	server, err := runners.AskJobServer(ctx, o)
	switch {
	case errors.Is(err, runners.ErrUnknownOption):
		return f, err
	case err != nil:
		return f, fmt.Errorf("%w (start it, or give its address with --endpoint)", err)
	case server.Engine != o.Name:
		return f, fmt.Errorf("the job server at %s is for %s (give --runner its name, or another --endpoint)", o.Endpoint, cmp.Or(server.Engine, "another runner"))
	}
	f.says = fmt.Sprintf("%s answers for %s; it does not tell its version", o.Endpoint, server.Engine)
	if o.Name == runners.Spark && server.Job != "" {
		f.warn("it runs job %s, and one at a time: this run would wait for its end", server.Job)
	}
	if strings.Contains(server.Master, ":") { // not a cluster inside of the job server
		warnOfRestarts(ctx, &f, server.Master)
	}
	return f, nil
}

// warnOfRestarts warns of a Flink cluster that gives a job up for one lost TaskManager.
func warnOfRestarts(ctx context.Context, f *finding, master string) {
	advice, err := runners.AskRestarts(ctx, master)
	if err != nil {
		advice = err.Error()
	}
	if advice != "" {
		f.warn("%s", advice)
	}
}

func (c *Checks) probeFlink(ctx context.Context) (f finding, err error) {
	o := c.options.Runner
	cluster, err := runners.AskFlink(ctx, o.Master)
	if err != nil {
		return f, fmt.Errorf("%w (start it, or give the address of its REST API with --master)", err)
	}
	f.says = fmt.Sprintf("%s is Flink %s, %s, %s", o.Master, cluster.Version, cli.Count(cluster.TaskManagers, "TaskManager"), cli.Count(cluster.Slots, "slot"))
	if !strings.HasPrefix(cluster.Version, runners.FlinkVersion+".") {
		return f, fmt.Errorf("%s is Flink %s, and Beam's runner is made for %s: use such a cluster", o.Master, cluster.Version, runners.FlinkVersion)
	}
	if o.Parallelism > cluster.Slots && o.Master != runners.YARN { // which starts TaskManagers for a job
		f.warn("--parallelism=%d, but the cluster has %s: a job would wait for more", o.Parallelism, cli.Count(cluster.Slots, "slot"))
	}
	warnOfRestarts(ctx, &f, o.Master)
	return f, nil
}

func (c *Checks) probeSpark(ctx context.Context) (f finding, err error) {
	o := c.options.Runner
	if o.Master == runners.YARN {
		var n int
		if n, f.says, err = runners.AskYARN(ctx, o); err == nil && n < o.Parallelism {
			f.warn("%s: a run waits for more", f.says)
		}
		return f, err
	}
	f.says = o.Master + " answers; it does not tell its version"
	if err := runners.AskSpark(ctx, o.Address()); err != nil {
		return f, fmt.Errorf("%w (start Spark's Master, or give its address with --master)", err)
	}
	return f, nil
}

func (c *Checks) probeNetwork(context.Context) (f finding, err error) {
	server, addrs, err := runners.Exposed(c.options.Runner)
	f.says = "servers of a run listen on 127.0.0.1, but for " + server
	if len(addrs) > 0 {
		f.warn("%s listens on all addresses, also on %s: who reaches it can run programs here, so keep others out with a firewall", server, strings.Join(addrs, ", "))
	}
	return f, err
}
