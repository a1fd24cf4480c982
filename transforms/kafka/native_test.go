package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/wait"
)

// fake is a cluster with a topic, and the driver's connection.
type fake struct {
	*Offsets
	window  Window
	client  *kgo.Client
	fetches atomic.Int64
}

const fakeTopic, otherTopic = "t", "other"

func newFake(t *testing.T, partitions int32) *fake {
	t.Helper()
	cluster := testkit.FakeKafka(t, kfake.SeedTopics(partitions, fakeTopic, otherTopic))
	f := &fake{window: Window{Brokers: cluster.ListenAddrs()[0], Topics: []string{fakeTopic}, Group: "g", Name: "w"}}
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		f.fetches.Add(1)
		return nil, nil, false
	})
	f.client = testkit.Kafka(t, f.window.Brokers)
	f.Offsets = testkit.Value(Open(t.Context(), f.window.Brokers, "g", f.window.Topics))(t)
	t.Cleanup(f.Offsets.Close)
	return f
}

func (f *fake) send(t *testing.T, partition int32, n int) {
	t.Helper()
	for range n {
		testkit.Must(t, f.client.ProduceSync(t.Context(), &kgo.Record{Topic: fakeTopic, Partition: partition, Value: []byte("x")}).FirstErr())
	}
}

// shardReads are the records of the only partition that some shards give.
type shardReads struct {
	mu sync.Mutex
	of map[int][]shardRead
}

type shardRead struct{ offset, millis int64 }

// read begins to read all shards side by side.
func (f *fake) read(ctx context.Context) (got *shardReads, wait func() error) {
	got = &shardReads{of: map[int][]shardRead{}}
	all, ctx := errgroup.WithContext(ctx)
	for shard := range f.window.Shards {
		all.Go(func() error {
			ctx := metrics.SetBundleID(ctx, fmt.Sprint(shard))
			return (&readFn{Window: f.window}).ProcessElement(ctx, shard, func(r Record) {
				got.mu.Lock()
				defer got.mu.Unlock()
				got.of[shard] = append(got.of[shard], shardRead{r.Offset, r.Timestamp})
			})
		})
	}
	return got, all.Wait
}

// Whatever the number of shards, each offset that waits, and each that comes later if
// they follow, is of exactly one of them, and none has more than its share: of offsets, or
// of partitions where shards take turns in what waits, too.
func TestShare(t *testing.T) {
	f := newFake(t, 3)
	f.send(t, 0, 10)
	f.send(t, 2, 3)
	const waiting, later = 13, 7
	for n := 1; n <= 7; n++ {
		for _, most := range []int64{1, 5, waiting, 1 << 40} {
			for ways := range 4 {
				follow, together := ways&1 != 0, ways&2 != 0
				about := fmt.Sprintf("%d shards, at most %d, follow=%t, together=%t", n, most, follow, together)
				shards, follows, err := f.Share(t.Context(), n, most, follow, together)
				if err != nil || len(shards) != n || follows != (follow && most >= waiting) {
					t.Fatalf("%s: %d shards, follows=%t (%v)", about, len(shards), follows, err)
				}
				taken, whole := map[record.ID]int{}, min(most, waiting)
				for i, pieces := range shards {
					var share, ofFirst int64
					for _, p := range pieces {
						end := p.End
						switch {
						case end == openEnd && p.Partition == 0:
							end = 10 + later
						case end == openEnd && p.Partition == 2:
							end = 3 + later
						case end == openEnd:
							end = later
						default:
							share += end - p.Start
							if p.Partition == 0 {
								ofFirst += end - p.Start
							}
						}
						for offset := p.Start; offset < end; offset++ {
							if offset%p.Of == p.Nth {
								taken[p.At(offset)]++
							}
						}
					}
					if fair := share >= whole/int64(n) && share <= (whole+int64(n)-1)/int64(n); !fair && !together || follows && len(pieces) == 0 {
						t.Errorf("%s: shard %d has %d of %d that wait: %v", about, i, share, whole, pieces)
					}
					// Other cameras' frames may cost more.
					if most >= waiting && !together && (ofFirst < 10/int64(n) || ofFirst > 10/int64(n)+1) {
						t.Errorf("%s: shard %d has %d of the 10 that wait in one partition: %v", about, i, ofFirst, pieces)
					}
				}
				want := whole
				if follows {
					want += 3 * later
				}
				for id, times := range taken {
					testkit.Equal(t, fmt.Sprintf("%s: how often %s is read", about, id), times, 1)
				}
				testkit.Equal(t, about+": the offsets", int64(len(taken)), want)
			}
		}
	}
}

// Three shards follow one partition, while records come without a pause: each gives its
// part of what is before the window's end, and the same when it is done again. For all
// that, the driver fetches nothing.
func TestShardsFollow(t *testing.T) { testShardsFollow(t, 0) }

// So they do if all of a millisecond must be in one of them.
func TestShardsFollowTogether(t *testing.T) {
	times := map[int64]int{}
	for shard, all := range testShardsFollow(t, 1) {
		for _, r := range all {
			if other, seen := times[r.millis]; seen && other != shard {
				t.Errorf("records of the time %d are in the shards %d and %d", r.millis, other, shard)
			}
			times[r.millis] = shard
		}
	}
}

func testShardsFollow(t *testing.T, togetherMillis int64) map[int][]shardRead {
	f := newFake(t, 1)
	f.send(t, 0, 5)
	f.window.TogetherMillis = togetherMillis
	var follows bool
	var err error
	f.window.Shards, follows, err = f.Share(t.Context(), 3, 100, true, togetherMillis != 0)
	testkit.Must(t, err)
	testkit.Equal(t, "whether they follow", follows, true)
	testkit.Must(t, f.Say(t.Context(), f.window.Name))
	sayOther := func(text string) { // of another run of the group
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: otherTopic, Metadata: aboutWindow("z") + text})
		testkit.Must(t, f.admin.CommitAllOffsets(t.Context(), "g", offsets))
	}
	sayOther(isOpen + "1")
	testkit.Equal(t, "the driver's fetches for its plan", f.fetches.Load(), 0)
	sending, stop := context.WithCancel(t.Context())
	var sent sync.WaitGroup
	sent.Go(func() {
		for sending.Err() == nil {
			f.client.ProduceSync(sending, &kgo.Record{Topic: fakeTopic, Value: []byte("x")})
		}
	})
	got, wait := f.read(t.Context())
	testkit.Await(t, "records of each shard", func() bool {
		got.mu.Lock()
		defer got.mu.Unlock()
		return len(got.of[0]) > 20 && len(got.of[1]) > 20 && len(got.of[2]) > 20
	})
	sayOther(isOpen + "2")
	testkit.Must(t, f.End(t.Context(), f.window.Name))
	testkit.Must(t, wait())
	stop()
	sent.Wait()

	end := f.Offsets.window[record.In(fakeTopic, 0)].end
	var all []int64
	for _, reads := range got.of {
		for _, r := range reads {
			all = append(all, r.offset)
		}
	}
	slices.Sort(all)
	if int64(len(all)) != end || all[0] != 0 || all[end-1] != end-1 || len(slices.Compact(all)) != len(all) {
		t.Errorf("%d records, from %d to %d; want each of the %d once", len(all), all[0], all[len(all)-1], end)
	}
	again, wait := f.read(t.Context())
	testkit.Must(t, wait())
	for shard, offsets := range got.of {
		testkit.Equal(t, fmt.Sprintf("shard %d, done again", shard), again.of[shard], offsets)
	}

	f.fetches.Store(0)
	review := testkit.Value(f.Review(t.Context(), []record.Offsets{{TopicPartition: record.In(fakeTopic, 0), Ranges: testkit.Ranges(0, end-1)}}))(t)
	testkit.Must(t, f.Commit(t.Context(), review))
	if n := f.fetches.Load(); n != 0 || review.Next[0].Offset != end {
		t.Errorf("the driver fetched %d times to commit offset %d, want %d", n, review.Next[0].Offset, end)
	}
	// A shard of the window that is over gives up at last, and at once when there is another.
	over := func(silence time.Duration, want string) {
		t.Helper()
		testkit.Says(t, "a window that is over", f.follow(t.Context(), f.window.Name, silence, func(n news) bool { return n.ends != nil || !n.open.IsZero() }), want)
	}
	over(1, "nothing new")
	_, _, err = f.Share(t.Context(), 1, 1<<40, true, false)
	testkit.Must(t, err)
	saying, stop := context.WithCancel(t.Context())
	var said sync.WaitGroup
	said.Go(func() {
		for saying.Err() == nil {
			_ = f.Say(saying, "another")
		}
	})
	over(time.Hour, "another window: window another is open")
	stop()
	said.Wait()
	return got.of
}

// While a window is open, the topic gets a partition, and Kafka removes what no shard has read
// yet: the first is the next window's, and the other is said to be lost.
func TestTopicChangesInWindow(t *testing.T) {
	f := newFake(t, 1)
	f.send(t, 0, 10)
	var err error
	f.window.Shards, _, err = f.Share(t.Context(), 1, 100, true, false)
	testkit.Must(t, err)
	testkit.Must(t, f.Say(t.Context(), f.window.Name))
	mustBe := func(want bool) {
		t.Helper()
		testkit.Gives(f.Grown(t.Context()))(t, "whether it has grown", want)
	}
	mustBe(false)
	removed := kadm.Offsets{}
	removed.AddOffset(fakeTopic, 0, 6, -1)
	testkit.Value(f.admin.DeleteRecords(t.Context(), removed))(t)
	testkit.Value(f.admin.CreatePartitions(t.Context(), 1, fakeTopic))(t)
	mustBe(true)
	f.client.PurgeTopicsFromClient(fakeTopic) // it has asked for the partitions before
	f.send(t, 1, 3)
	got, wait := f.read(t.Context())
	testkit.Must(t, f.End(t.Context(), f.window.Name))
	testkit.Must(t, wait())
	if reads := got.of[0]; len(reads) != 4 || reads[0].offset != 6 {
		t.Errorf("read is %v, want the offsets 6 to 9", reads)
	}
	review := testkit.Value(f.Review(t.Context(), []record.Offsets{{TopicPartition: record.In(fakeTopic, 0), Ranges: testkit.Ranges(6, 9)}}))(t)
	testkit.Equal(t, "lost", review.Lost, []record.Offsets{{TopicPartition: record.In(fakeTopic, 0), Ranges: testkit.Ranges(0, 5)}})
	testkit.Must(t, f.Commit(t.Context(), review))
	testkit.Gives(f.Waiting(t.Context()))(t, "the records that wait in the new partition", 3)
}

// That a topic was deleted is no outage, which would be waited for. If it is made anew, its
// offsets mean other records.
func TestTopicIsGone(t *testing.T) {
	f := newFake(t, 1)
	testkit.Value(f.admin.DeleteTopics(t.Context(), fakeTopic))(t)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	if _, err := f.Waiting(ctx); !errors.Is(err, ErrUnknownTopic) || errors.Is(err, wait.ErrOutage) {
		t.Errorf("error %v", err)
	}
	testkit.Value(f.admin.CreateTopic(t.Context(), 1, 1, nil, fakeTopic))(t)
	_, err := f.Review(t.Context(), nil)
	testkit.Is(t, "a window that began before", err, record.ErrTopicAnew)
}

// A shard that begins while no broker answers waits, but whoever gives an address hears at
// once that it is wrong.
func TestShardsAwaitBroker(t *testing.T) {
	f := newFake(t, 1)
	dials := 0
	refuses := kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		if dials++; dials < 5 {
			return nil, syscall.ECONNREFUSED
		}
		return new(net.Dialer).DialContext(ctx, network, host)
	})
	_, err := Connect(t.Context(), f.window.Brokers, "g", f.window.Topics, refuses)
	testkit.Is(t, "a wrong address", err, syscall.ECONNREFUSED)
	dials = 0
	testkit.Value(reconnect(t.Context(), f.window, refuses))(t).Close()
}

// One broker that answers is enough, wherever in the list it is, and others that swallow what
// they are asked do not hold it up later. What one says that answers goes before what becomes
// of the others.
func TestOneBrokerIsEnough(t *testing.T) {
	before := othersAfter
	defer func() { othersAfter = before }()
	othersAfter = time.Hour
	good := testkit.FakeKafka(t, kfake.SeedTopics(1, "t")).ListenAddrs()[0]
	var asked atomic.Int64
	var silent []string
	for range 4 {
		silent = append(silent, testkit.Serve(t, func(net.Conn) { asked.Add(1); <-t.Context().Done() }))
	}
	for _, at := range []int{0, 2, 4} {
		asked.Store(0)
		offsets := testkit.Value(Open(t.Context(), strings.Join(slices.Insert(slices.Clone(silent), at, good), ","), "g", []string{"t"}))(t)
		for range 10 {
			testkit.Value(offsets.Lag(t.Context()))(t)
		}
		offsets.Close()
		if n := asked.Load(); n > 4 {
			t.Errorf("brokers that say nothing were asked %d times, and there are four", n)
		}
	}

	refusing := testkit.FakeKafka(t)
	refusing.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	strangers := testkit.Strangers(t)
	_, err := Open(t.Context(), strings.Join([]string{strangers["refuses"], strangers["no such host"], refusing.ListenAddrs()[0]}, ","), "g", []string{"t"})
	testkit.Is(t, "no broker that tells", err, kerr.ClusterAuthorizationFailed)
}

// Once the broker that has answered is gone, the others that were given are asked.
func TestOtherBrokers(t *testing.T) {
	before := othersAfter
	defer func() { othersAfter = before }()
	othersAfter = time.Millisecond
	cluster := testkit.FakeKafka(t)
	first, later := cluster.ListenAddrs()[0], testkit.FakeKafka(t).ListenAddrs()[0]
	var gone atomic.Bool
	dialer := kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		if gone.Load() == (host == first) {
			return nil, syscall.ECONNREFUSED
		}
		return new(net.Dialer).DialContext(ctx, network, host)
	})
	offsets := testkit.Value(Connect(t.Context(), first+","+later, "g", nil, dialer))(t)
	defer offsets.Close()
	gone.Store(true)
	cluster.Close()
	testkit.Must(t, offsets.checkTopics(t.Context()))
}
