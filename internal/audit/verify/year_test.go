package verify

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/config"
	"facestream/internal/paths"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/tracedfs"
	"facestream/transforms/face"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

const (
	yearTopic      = "year"
	yearPartitions = 4
	yearWindow     = 20  // records
	yearPicture    = 100 // bytes
	yearCameras    = 10
	// At this pace, a year has 3,000,000 records.
	yearPerDay = 3_000_000 / 365
)

// year is an output that grows by fake days.
type year struct {
	t       *testing.T
	root    string
	run     store.Run
	segment int64 // bytes of a table at most
	next    [yearPartitions]int64
	reads   atomic.Int64 // of files, by whatever goes through the traced file system
}

func newYear(t *testing.T, name string, flags ...string) *year {
	y := &year{t: t, root: filepath.Join(t.TempDir(), "faces"), run: store.Run{ID: name, Group: name, Runner: "direct"}}
	o := testkit.Value(config.Parse(append(flags, "--kafka=localhost:1", "--output="+y.root, "--state_dir="+t.TempDir())...))(t)
	var err error
	y.run.Settings, y.run.SettingsSHA256, err = testkit.Value(face.SettingsOf(o.Frame, o.Face, o.Write))(t).JSON()
	testkit.Must(t, err)
	y.segment = o.SegmentBytes
	return y
}

// Case 23: in a year of windows of a few records, the books have a bounded number of files
// for each day and of entries in a folder, a start reads as few files at the end as after
// a day, and verify agrees. test-all has the whole year, with 3,000,000 records; -v says
// the figures.
func TestYear(t *testing.T) {
	t.Parallel()
	days := 3
	if testkit.All() {
		days = 365
	}
	y := newYear(t, "year")
	tracedfs.Register(func(call, _ string) {
		if call == "OpenRead" {
			y.reads.Add(1)
		}
	})
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var first int64
	var took time.Duration
	for day := range days {
		book, reads, d := y.start()
		switch {
		case day == 1:
			first = reads
		case day > 1 && reads > first+1:
			t.Fatalf("on day %d a start reads %d files, on the first %d", day, reads, first)
		}
		took = max(took, d)
		y.day(book, begin.AddDate(0, 0, day))
	}
	_, reads, d := y.start()
	y.checkFiles(days)
	t.Logf("a start reads %d files in %s, at most %s", reads, d, took)
	y.verify()
}

// start opens the book as a run does, and returns how many files it has read.
func (y *year) start() (*store.Book, int64, time.Duration) {
	y.reads.Store(0)
	var all []record.TopicPartition
	for p := range int32(yearPartitions) {
		all = append(all, record.In(yearTopic, p))
	}
	began := time.Now()
	book, err := store.OpenBook(y.t.Context(), store.Config{Root: tracedfs.Name(y.root), Run: y.run.ID}, y.run, []string{yearTopic}, all)
	took := time.Since(began)
	testkit.Must(y.t, err)
	if at := book.Positions(); len(at) > 0 && at[0].Offset != y.next[0] {
		y.t.Fatalf("the book stands at %v, want %v", at, y.next)
	}
	return book, y.reads.Load(), took
}

// day adds the windows of a day, which come so rarely that each is gathered at once.
func (y *year) day(book *store.Book, day time.Time) {
	const windows = yearPerDay / yearWindow
	for i := range windows {
		y.window(book, day.Add(time.Duration(i)*24*time.Hour/windows), time.Second, yearWindow, yearWindow, int32(i%yearPartitions))
	}
}

// window adds one with so many records of each partition, of which one of so many has a face,
// and gathers it. Pictures that are rows are in two tables.
func (y *year) window(book *store.Book, at time.Time, length time.Duration, records, faces int64, partitions ...int32) {
	t, name := y.t, store.UniqueName(at)
	var tables [2][]table.Row
	var ledger store.Ledger
	var events bytes.Buffer
	for _, p := range partitions {
		from := y.next[p]
		y.next[p] += records
		sum := store.Partition{
			TopicPartition: record.In(yearTopic, p), From: from, FirstOffset: from, LastOffset: y.next[p] - 1, Offsets: testkit.Ranges(from, y.next[p]-1),
			Read: records, ReadBytes: 36_000 * records, Decoded: records,
		}
		for offset := from; offset < y.next[p]; offset += faces {
			row := table.Row{
				ID: sum.At(offset), Camera: fmt.Sprint("camera-", offset/faces%yearCameras), TimestampMillis: at.UnixMilli() + (offset-from)*length.Milliseconds()/records,
				FrameWidth: 640, FrameHeight: 480, Detector: face.Parity, SettingsSHA256: y.run.SettingsSHA256, DetectMillis: 50, Picture: make([]byte, yearPicture), PictureBytes: yearPicture,
				Faces: []table.Face{{Face: 1, Box: record.Box{X: 233, Y: 152, Width: 232, Height: 232}, Blur: 123.45}},
			}
			lines := testkit.Value(face.EventsOf(&row))(t)
			events.WriteString(lines[0] + "\n")
			sum.Pictures = append(sum.Pictures, row.Range())
			sum.FramesWithFaces, sum.Faces, sum.Files, sum.Bytes = sum.FramesWithFaces+1, sum.Faces+1, sum.Files+1, sum.Bytes+yearPicture
			sum.Events, sum.EventBytes = sum.Events+1, sum.EventBytes+int64(len(lines[0])+1)
			if !y.run.Stored().Rows {
				y.write(store.PicturesOf(&row)[0].Name, row.Picture)
				continue
			}
			tables[offset/faces%2] = append(tables[offset/faces%2], row)
		}
		ledger.Partitions = append(ledger.Partitions, sum)
	}
	for i, rows := range tables {
		if len(rows) == 0 {
			continue
		}
		var data bytes.Buffer
		testkit.Must(t, table.Write(&data, rows))
		base := fmt.Sprint(name, "+", i, ".parquet")
		y.write(path.Join("_tmp", y.run.ID, base), data.Bytes())
		ledger.Tables = append(ledger.Tables, store.Table{File: store.TableFolder(store.PicturesOf(&rows[0])[0].Name) + "/" + base, Rows: int64(len(rows)), Bytes: int64(data.Len())})
	}
	y.write(path.Join("_tmp", y.run.ID, name+".jsonl"), events.Bytes())
	var next []record.ID
	for p, offset := range y.next {
		next = append(next, record.In(yearTopic, int32(p)).At(offset))
	}
	testkit.Value(book.Keep(t.Context(), name, ledger, next))(t)
	testkit.Must(t, book.Gather(t.Context()))
}

func (y *year) write(name string, data []byte) {
	testkit.WriteFile(y.t, filepath.Join(y.root, name), data)
}

// checkFiles checks the number of files and of a folder's entries.
func (y *year) checkFiles(days int) {
	count, bytes := y.count()
	books := count[store.KindLedger] + count[store.KindEvents]
	entries, largest := map[string]int{}, 0
	for _, folder := range []string{"_windows", "_events"} {
		testkit.Must(y.t, filepath.WalkDir(filepath.Join(y.root, folder), func(file string, _ os.DirEntry, err error) error {
			entries[filepath.Dir(file)]++
			largest = max(largest, entries[filepath.Dir(file)])
			return err
		}))
	}
	records := int64(0)
	for _, n := range y.next {
		records += n
	}
	y.t.Logf("%d days, %d windows, %d records: %d files of books with %.1f MB, %.1f a day; the largest folder of books has %d entries; %d pictures",
		days, records/yearWindow, records, books, float64(bytes[store.KindLedger]+bytes[store.KindEvents])/1e6, float64(books)/float64(days), largest, count[store.KindPicture])
	if books > 100*days || largest > 10_000 || len(count) != 3 {
		y.t.Errorf("that are more than 100 files a day or 10,000 entries in a folder, or others than these: %v", count)
	}
}

// count counts files and their bytes by kind.
func (y *year) count() (count map[store.Kind]int, bytes map[store.Kind]int64) {
	count, bytes = map[store.Kind]int{}, map[store.Kind]int64{}
	testkit.Must(y.t, store.List(y.t.Context(), store.Config{Root: y.root}, func(name string, size int64, _ time.Time) error {
		kind, _ := store.KindOf(name)
		count[kind], bytes[kind] = count[kind]+1, bytes[kind]+size
		return nil
	}))
	return count, bytes
}

// verify runs the command, with a Kafka that holds the last week.
func (y *year) verify() {
	t := y.t
	broker := testkit.FakeKafka(t, kfake.SeedTopics(yearPartitions, yearTopic)).ListenAddrs()[0]
	client := testkit.Kafka(t, broker, kgo.MaxBufferedRecords(100_000))
	var failed atomic.Pointer[error]
	for p, n := range y.next {
		for range n {
			client.Produce(t.Context(), &kgo.Record{Topic: yearTopic, Partition: int32(p)}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
				}
			})
		}
	}
	testkit.Must(t, client.Flush(t.Context()))
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	gone, committed := kadm.Offsets{}, kadm.Offsets{}
	for p, n := range y.next {
		gone.AddOffset(yearTopic, int32(p), max(0, n-7*yearPerDay/yearPartitions), -1)
		committed.AddOffset(yearTopic, int32(p), n, -1)
	}
	admin := kadm.NewClient(client)
	deleted := testkit.Value(admin.DeleteRecords(t.Context(), gone))(t)
	testkit.Must(t, deleted.Error())
	testkit.Must(t, admin.CommitAllOffsets(t.Context(), y.run.Group, committed))

	pipeline := filepath.Join(testkit.Value(paths.Programs(t.Context()))(t), "pipeline")
	cmd := exec.CommandContext(t.Context(), pipeline, "verify", "--kafka="+broker, "--topics="+yearTopic, "--group="+y.run.Group, "--output="+y.root, "--state_dir="+t.TempDir())
	began := time.Now()
	out, err := cmd.CombinedOutput()
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	most := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
	t.Logf("verify took %s and %d MB\n%s", time.Since(began).Round(time.Millisecond), most, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	if err != nil {
		t.Errorf("verify: %v", err)
	}
}
