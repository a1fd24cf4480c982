package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// At 2026-01-02 03:04:05 UTC.
const testMillis = 1767323045000

var testTime = time.UnixMilli(testMillis)

// scene is all that is compared. The one that newScene gives agrees.
type scene struct {
	windows []window
	files   map[string]int64     // sizes by name
	events  map[string]string    // lines of files of events, by name
	times   map[string]time.Time // other than testTime, by name
	purged  store.Purged
	logs    []Log
	records map[int64]bool // offsets of partition 0 of topic t with a record
}

const pictureSize = 100

var partition = record.In("t", 0)

func nameOf(offset int64) store.Name {
	return store.Name{ID: partition.At(offset), Camera: "door", TimestampMillis: testMillis}
}

func picture(offset int64) string { return nameOf(offset).Path() }

func reject(offset int64) string { return nameOf(offset).RejectPath() }

func keptReject(offset int64) string { return nameOf(offset).KeptPath() }

// window is one with its ledger, in a book or, with an empty one, of an older version.
type window struct {
	Book, Name string
	Ledger     store.Ledger
	Err        error // what is wrong with the ledger
}

// newWindow is one that has read [first, first+10), but for what a transaction
// has at its end: six pictures, one frame without a face, one skipped record and
// one reject.
func newWindow(name string, first int64) window {
	run := store.Run{ID: "run", Group: "g", Runner: "direct", Settings: json.RawMessage(`{"keep_bytes":0}`)}
	run.SettingsSHA256 = settingsSum(run)
	return window{Name: name, Ledger: store.Ledger{Run: run, Partitions: []store.Partition{{TopicPartition: record.In("t", 0), From: first, FirstOffset: first, LastOffset: first + 8, Offsets: testkit.Ranges(first, first+8), Pictures: testkit.Ranges(first, first+3, first+5, first+6), Rejects: testkit.Ranges(first+8, first+8), Read: 9, Decoded: 7, Skipped: 1, Rejected: map[string]int64{"wrong_size": 1}, FramesWithFaces: 6, Faces: 7, Files: 6, Bytes: 6 * pictureSize}}}}
}

// newScene has two windows, of 0 to 18 without 9, and three records that wait.
func newScene() *scene {
	s := &scene{
		windows: []window{newWindow("w1", 0), newWindow("w2", 10)},
		files:   map[string]int64{"_windows/w1.json": 900, "_windows/w2.json": 900, "_SUCCESS": 10},
		events:  map[string]string{}, times: map[string]time.Time{},
		logs:    []Log{log(0, 0, 23, 19)},
		records: map[int64]bool{},
	}
	s.fill(0)
	s.fill(10)
	for offset := range int64(23) {
		s.records[offset] = offset != 9 && offset != 19
	}
	return s
}

// ledger returns the only partition of a window.
func (s *scene) ledger(i int) *store.Partition { return &s.windows[i].Ledger.Partitions[0] }

// report compares, and looks into the log as the command does.
func (s *scene) report(t *testing.T) Report {
	t.Helper()
	r, _ := s.compare(t, 0)
	return *r
}

// compare also chooses so many records.
func (s *scene) compare(t *testing.T, choose int) (*Report, *Audit) {
	t.Helper()
	a := testkit.Value(New([]string{"t"}, map[string]string{"t": "now"}, choose))(t)
	defer a.Close()
	for _, w := range s.windows {
		f := store.BookFile{Name: path.Join(cmp.Or(w.Book, "_windows"), w.Name+".json"), Book: w.Book, Hour: store.Hour{Number: w.Ledger.Number, Positions: w.Ledger.Positions}, Err: w.Err}
		if w.Err == nil {
			f.Ledgers = []store.Ledger{w.Ledger}
			if bytes := w.Ledger.Sum().EventBytes; bytes > 0 {
				f.Events = []store.EventsFile{{File: w.eventsFile(), Bytes: bytes}}
			}
		}
		group := a.AddLedgers(f)
		for _, e := range f.Events {
			lines := s.events[e.File]
			if w.Book != "" {
				lines = lines[:min(e.Bytes, int64(len(lines)))]
			}
			testkit.Must(t, a.AddEvents(e.File, group, strings.NewReader(lines)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		at, ok := s.times[name]
		if !ok {
			at = testTime
		}
		a.AddFile(name, s.files[name], at)
	}
	for name, lines := range s.events {
		a.AddFile(name, int64(len(lines)), testTime)
	}
	a.AddPurged(s.purged)
	r, doubtful, err := a.Compare(t.Context(), s.logs)
	testkit.Must(t, err)
	held := []record.Offsets{}
	for _, d := range doubtful {
		h := record.Offsets{TopicPartition: d.TopicPartition}
		for _, r := range d.Ranges {
			for offset := r.First; offset <= r.Last; offset++ {
				if s.records[offset] {
					h.Ranges = append(h.Ranges, record.Range{First: offset, Last: r.Last})
					break
				}
			}
		}
		held = append(held, h)
	}
	r.AddGaps(held)
	return r, a
}

// eventsFile is staged for a window of a book, and published for an hour.
func (w window) eventsFile() string {
	switch month, hour, ofHour := strings.Cut(w.Name, "/"); {
	case w.Book == "":
		return "_events/unknown/" + w.Name + ".jsonl"
	case ofHour:
		return "_events/" + month + "-" + hour[:2] + "/" + strings.Replace(month, "-", "", 1) + hour + "0000.000Z-5f3a9c01.jsonl"
	case w.Name == "hour":
		return "_events/2026-01-02/20260102T050000.000Z-5f3a9c01.jsonl"
	}
	return w.Book + "/" + w.Name + ".jsonl"
}

// lines are the events of a record with so many faces.
func lines(offset int64, faces int) (lines string) {
	for face := range faces {
		lines += fmt.Sprintf(`{"topic":"t","partition":0,"offset":%d,"face":%d,"faces":%d}`+"\n", offset, face+1, faces)
	}
	return lines
}

func TestAgrees(t *testing.T) {
	got := newScene().report(t)
	nineteen := int64(19)
	want := Report{
		Agrees: true, Ledgers: 2, OtherTopics: []OtherTopic{}, Problems: []Problem{},
		Partitions: []Partition{{TopicPartition: record.In("t", 0), LogEnd: 23, Committed: &nineteen, Covered: testkit.Ranges(0, 8, 10, 18), Records: 18, Lost: []record.Range{}, Gaps: []record.Range{}, Waiting: 4, Pictures: Files{Expected: 12, Present: 12}, Rejects: Files{Expected: 2, Present: 2}, end: 19}},
	}
	testkit.Equal(t, "the report", got, want)
}

// What is as it may be.
func TestAgreesAlso(t *testing.T) {
	for name, change := range map[string]func(s *scene){
		"a window was repeated": func(s *scene) {
			s.windows = append(s.windows, newWindow("w3", 10))
		},
		"another run repeated a part of one": func(s *scene) {
			s.windows = append(s.windows, window{Name: "w3", Ledger: store.Ledger{Run: s.windows[0].Ledger.Run, Partitions: []store.Partition{{TopicPartition: record.In("t", 0), From: 16, FirstOffset: 16, LastOffset: 17, Offsets: testkit.Ranges(16, 17), Pictures: testkit.Ranges(16, 16), Read: 2, Decoded: 1, Skipped: 1, FramesWithFaces: 1, Faces: 1, Files: 1, Bytes: pictureSize}}}})
		},
		"Kafka has removed the end of a transaction between two windows, too": func(s *scene) {
			s.ledger(1).From = 9
			s.logs[0].Start = 15
		},
		"the last window was not committed": func(s *scene) { s.logs[0].Committed = 10 },
		"nothing was committed":             func(s *scene) { s.logs[0].Committed = NotCommitted },
		"Kafka has removed what was read, and more": func(s *scene) {
			s.dropFirst()
			s.logs[0].Start, s.logs[0].End = 21, 23
		},
		"there are lost records": func(s *scene) {
			s.logs[0].Start = 10
			s.dropFirst()
			s.ledger(0).Lost = testkit.Ranges(0, 9)
		},
		"a partition was never read": func(s *scene) {
			s.logs = append(s.logs, log(1, 5, 50, NotCommitted))
		},
		"what is missing inside a window was compacted and removed since": func(s *scene) {
			skip(s.ledger(0), 7)
			s.logs[0].Start = 8
		},
		"a ledger is newer than those that were read": func(s *scene) { s.files["_windows/w9.json"] = 900 },
		"temporary files are young": func(s *scene) {
			s.files["_tmp/run/A"] = 7
			s.times["_tmp/run/A"] = testTime.Add(time.Second - store.TmpAge)
		},
		"a window had nothing to read": func(s *scene) {
			s.windows = append(s.windows, window{Name: "w3", Ledger: store.Ledger{Run: s.windows[0].Ledger.Run}})
		},
		"kept values": func(s *scene) {
			keep(&s.windows[1])
			s.files[keptReject(18)] = 1000
		},
		"an hour, and a window that is not gathered": func(s *scene) { s.book(archived, open) },
		"two hours":                 func(s *scene) { s.book(archived, newest) },
		"gathering was interrupted": func(s *scene) { s.book(newest, open); s.events[ofNewest] += "x" },
		"gathering was interrupted when another file was begun": func(s *scene) { s.book(newest, open); s.events[ofOpen] = "x" },
		"all outputs":                      func(s *scene) { s.writeAll(0) },
		"only events":                      func(s *scene) { s.writeEvents(1, true) },
		"only events, of an older version": func(s *scene) { s.writeEvents(1, false) },
		"all of an hour was purged, with its ledger": func(s *scene) {
			s.dropFirst()
			s.purged = store.Purged{Files: store.Marks{partition: testkit.Ranges(0, 8)}, Events: store.Marks{partition: testkit.Ranges(0, 8)}}
		},
		"the last ledger was purged, and nothing was committed": func(s *scene) {
			s.windows, s.logs[0].Committed = s.windows[:1], NotCommitted
			s.cut(10)
			s.purged.Files = store.Marks{partition: testkit.Ranges(10, 18)}
		},
		"some pictures and rejects were purged": func(s *scene) {
			for _, name := range []string{picture(1), picture(12), reject(8)} {
				delete(s.files, name)
			}
			s.purged.Files = store.Marks{partition: testkit.Ranges(1, 1, 8, 8, 12, 12)}
		},
		"pictures were purged, and not their events": func(s *scene) {
			s.book(archived, open)
			delete(s.files, picture(1))
			s.purged.Files = store.Marks{partition: testkit.Ranges(1, 1)}
		},
		"there is face.jpg":                        func(s *scene) { s.files["face.jpg"] = 5 },
		"events of a ledger that was not read yet": func(s *scene) { s.events["_events/unknown/w9.jsonl"] = "x" },
		"events of a window that was read again": func(s *scene) {
			s.writeAll(1)
			delete(s.events, "_events/unknown/w2.jsonl")
			s.windows = append(s.windows, newWindow("w3", 10))
			s.writeAll(2)
		},
		"a window was repeated with other settings": func(s *scene) {
			s.windows = append(s.windows, newWindow("w3", 0))
			s.writeAll(2)
			for _, offset := range []int64{0, 1, 2, 3, 5, 6} {
				s.files[picture(offset)] = pictureSize + 1
			}
			s.ledger(2).Bytes += 6
		},
		"frames and pictures are left out": func(s *scene) {
			p := s.ledger(1)
			skip(p, 17)
			p.Offsets, p.Read, p.Sampled = testkit.Ranges(10, 18), 9, 1
			p.Pictures = testkit.Ranges(10, 10, 12, 13, 15, 16)
			p.Cooled, p.Files, p.Bytes = 1, 5, 5*pictureSize
			delete(s.files, picture(11))
		},
		"other topics": func(s *scene) {
			other := newWindow("w3", 0)
			other.Ledger.Partitions[0].Topic = "_" + strings.Repeat("x", 200) // cut in a name
			s.windows = append(s.windows, other)
			s.files[store.Name{ID: other.Ledger.Partitions[0].At(8), TimestampMillis: testMillis}.RejectPath()] = 1
		},
	} {
		t.Run(name, func(t *testing.T) { mustReport(t, change) })
	}
}

// book puts windows into a book of the group: hours or windows that are not gathered yet,
// with events.
func (s *scene) book(names ...string) {
	for i, name := range names {
		w := &s.windows[i]
		w.Book, w.Name = "_windows/g+t", name
		s.write(i, `{"write":"frame,events"}`)
		w.Ledger.Number = int64(7 + i)
		w.Ledger.Positions = []store.Position{{ID: partition.At(int64(10 + 9*i))}}
	}
}

// The files of a book.
const (
	archived = "2026-01/02T03"
	newest   = "hour"
	open     = "20260102T060000.000Z-5f3a9c01"

	ofArchived, ofNewest, ofOpen = "_events/2026-01-02/20260102T030000.000Z-5f3a9c01.jsonl", "_events/2026-01-02/20260102T050000.000Z-5f3a9c01.jsonl", "_events/2026-01-02/20260102T060000.000Z-5f3a9c01.jsonl"
)

// writeAll makes a window one of a run that wrote everything.
func (s *scene) writeAll(i int) {
	w := &s.windows[i]
	p := &w.Ledger.Partitions[0]
	s.write(i, `{"write":"frame,annotated,crops,events"}`)
	p.Files, p.Bytes = 6+6+7, 6*pictureSize+6*10+7*3
	for _, r := range p.Pictures {
		for offset := r.First; offset <= r.Last; offset++ {
			s.files[nameOf(offset).AnnotatedPath()], s.files[nameOf(offset).FacePath(1)] = 10, 3
		}
	}
	s.files[nameOf(p.FirstOffset).FacePath(2)] = 3
}

// writeEvents makes a window one of a run that wrote nothing but events. A ledger of an
// older version did not list their frames.
func (s *scene) writeEvents(i int, listed bool) {
	p := s.ledger(i)
	s.write(i, `{"write":"events"}`)
	for _, r := range p.Pictures {
		for offset := r.First; offset <= r.Last; offset++ {
			delete(s.files, picture(offset))
		}
	}
	p.Files, p.Bytes = 0, 0
	if listed {
		s.windows[i].Ledger.Number = 1
	} else {
		p.Pictures = nil
	}
}

// write gives a window settings and events; the first frame has two faces.
func (s *scene) write(i int, settings string) {
	w := &s.windows[i]
	w.set(settings)
	p := s.ledger(i)
	events := ""
	for _, r := range p.Pictures {
		for offset := r.First; offset <= r.Last; offset++ {
			events += lines(offset, 1+int(max(0, 1-offset+p.FirstOffset)))
		}
	}
	p.Events, p.EventBytes = 7, int64(len(events))
	s.events[w.eventsFile()] = events
}

// replace changes the events of a window.
func (s *scene) replace(i int, old, new string) {
	file := s.windows[i].eventsFile()
	s.events[file] = strings.Replace(s.events[file], old, new, 1)
}

// set gives the window settings.
func (w *window) set(settings string) {
	w.Ledger.Run.Settings = json.RawMessage(settings)
	w.Ledger.Run.SettingsSHA256 = settingsSum(w.Ledger.Run)
}

// skip takes a skipped record out of a ledger.
func skip(p *store.Partition, offset int64) {
	p.Offsets = record.Subtract(p.Offsets, testkit.Ranges(offset, offset))
	p.Read--
	p.Skipped--
}

// keep makes a window one of a run that kept the values of rejected records.
func keep(w *window) {
	w.set("{\n  \"keep_bytes\": 1048576\n}")
}

// Each row breaks one thing, and names all that is to be said about it.
func TestProblems(t *testing.T) {
	old := testTime.Add(-store.TmpAge)
	for name, test := range map[string]struct {
		change func(s *scene)
		want   []string // kind: part of its text
	}{
		"a ledger cannot be read": {
			func(s *scene) { s.windows[1] = window{Name: "w2", Err: errors.New("torn")}; s.cut(10) },
			[]string{"ledger_unreadable: ledger w2: torn", "committed_unknown: offsets 10 to 18 of partition 0 of topic t: committed, and in no ledger"},
		},
		"the settings are not those of the hash": {func(s *scene) { s.windows[0].Ledger.Run.Settings = json.RawMessage(`{}`) }, []string{"ledger_sum: ledger w1: its settings have the SHA-256 44136fa3"}},
		"records were counted twice":             {func(s *scene) { s.ledger(0).Read++; s.ledger(0).Skipped++ }, []string{"ledger_sum: ledger w1, partition 0 of topic t: records_read is 10, and there are 9 offsets"}},
		"a record is not accounted for":          {func(s *scene) { s.ledger(0).Decoded-- }, []string{"ledger_sum: records_read is 9, and 6 were decoded, 1 skipped, 0 sampled, 1 rejected"}},
		"a cooled frame has a picture":           {func(s *scene) { s.ledger(0).Cooled++ }, []string{"ledger_sum: frames_with_faces is 6, 1 of them cooled, and 6 offsets have pictures"}},
		"a reject is not listed": {
			func(s *scene) { s.ledger(0).Rejects = nil },
			[]string{"ledger_sum: rejected are 1, and 0 offsets have files", "reject_unknown: offset 8 of partition 0 of topic t: there is _rejects/door/2026/01/02/03/t+0+00000000000000000008.json, and the ledgers say that this record has none"},
		},
		"there are fewer files than pictures": {
			func(s *scene) { s.ledger(0).Files-- },
			[]string{"ledger_sum: files_written is 5, and 6 offsets with 7 faces give 6", "ledger_bytes: files_written is 5 with bytes_written 600, and there are 6 files of 600 bytes"},
		},
		"there are fewer faces than frames with faces": {func(s *scene) { s.ledger(0).Faces = 5 }, []string{"ledger_sum: 6 frames of 7 have 5 faces"}},
		"the first offset is another":                  {func(s *scene) { s.ledger(0).FirstOffset = 1 }, []string{"ledger_sum: first_offset and last_offset are 1 and 8"}},
		"pictures were not read": {
			func(s *scene) {
				s.ledger(0).Pictures[1] = record.Range{First: 5, Last: 9}
				s.ledger(0).FramesWithFaces += 3
				s.ledger(0).Files += 3
			},
			[]string{"ledger_sum: 9 frames of 7", "ledger_sum: pictures of offsets that were not read", "ledger_sum: pictures of rejected records",
				"picture_missing: offsets 7 to 9 of partition 0 of topic t: picture missing"},
		},
		"ranges are in disorder":     {func(s *scene) { slices.Reverse(s.ledger(0).Pictures) }, []string{"ledger_sum: [offsets 5 to 6 offsets 0 to 3] are no ranges of offsets in order"}},
		"ranges are none":            {func(s *scene) { s.ledger(0).Lost = testkit.Ranges(-5, 1<<62, 7, 3) }, []string{"ledger_sum: are no ranges of offsets in order"}},
		"a picture has another size": {func(s *scene) { s.files[picture(5)]-- }, []string{"ledger_bytes: ledger w1, partition 0 of topic t: files_written is 6 with bytes_written 600, and there are 6 files of 599 bytes"}},
		"what was purged is there": {
			func(s *scene) {
				s.book(archived, open)
				s.files["_purged/X/door/a.jpg"], s.files[store.PurgedFile] = 1, 1
				s.purged = store.Purged{Files: store.Marks{partition: testkit.Ranges(1, 1)}, Events: store.Marks{partition: testkit.Ranges(1, 1)}}
			},
			[]string{"purged_there: there is _purged/X/door/a.jpg: a purge is under way, or was interrupted: purge again",
				"purged_there: offset 1 of partition 0 of topic t: there is " + picture(1), "purged_there: offset 1 of partition 0 of topic t: there is _events/"},
		},
		"pictures are missing beside those that were purged": {
			func(s *scene) {
				delete(s.files, picture(1))
				delete(s.files, picture(2))
				s.purged.Files = store.Marks{partition: testkit.Ranges(1, 1)}
			},
			[]string{"picture_missing: offset 2 of partition 0 of topic t: picture missing"},
		},
		"a crop is missing":        {func(s *scene) { s.writeAll(0); delete(s.files, nameOf(5).FacePath(1)) }, []string{"crop_missing: offset 5 of partition 0 of topic t: crop missing"}},
		"a second crop is missing": {func(s *scene) { s.writeAll(0); delete(s.files, nameOf(0).FacePath(2)) }, []string{"ledger_bytes: files_written is 19 with bytes_written 681, and there are 18 files of 678 bytes"}},
		"crops were not asked for": {func(s *scene) { s.files[nameOf(5).FacePath(2)] = 3 }, []string{"crop_unknown: there is door/2026/01/02/03/t+0+00000000000000000005.face-2.jpg, and the ledgers say that this record has none"}},
		"a crop is there twice": {
			func(s *scene) {
				s.writeAll(0)
				s.files["other"+strings.TrimPrefix(strings.TrimSuffix(picture(5), ".jpg"), "door")+".face-1.jpg"] = 3
			},
			[]string{"ledger_bytes: ledger w1", "picture_twice: 0005.face-1.jpg and other/2026/01/02/03/t+0+00000000000000000005.face-1.jpg"},
		},
		"events are missing":                      {func(s *scene) { s.writeAll(0); delete(s.events, "_events/unknown/w1.jsonl") }, []string{"events_missing: offsets 0 to 3 of partition 0 of topic t: events missing", "events_missing: offsets 5 to 6 of"}},
		"an event is missing":                     {func(s *scene) { s.writeAll(0); s.replace(0, lines(5, 1), "") }, []string{"events_missing: offset 5 of partition 0 of topic t: events missing"}},
		"an event of two is missing":              {func(s *scene) { s.writeAll(0); s.replace(0, lines(0, 2), strings.SplitAfter(lines(0, 2), "\n")[1]) }, []string{"events_missing: offset 0 of partition 0 of topic t: the event of face 1 is missing"}},
		"an event is there twice":                 {func(s *scene) { s.writeAll(0); s.replace(0, lines(5, 1), lines(5, 1)+lines(5, 1)) }, []string{"events_twice: offset 5 of partition 0 of topic t: a face is in _events/unknown/w1.jsonl and in _events/unknown/w1.jsonl"}},
		"an event is there twice, in two windows": {func(s *scene) { s.writeAll(0); s.writeAll(1); s.replace(1, lines(11, 1), lines(11, 1)+lines(5, 1)) }, []string{"events_twice: offset 5 of partition 0 of topic t: a face is in _events/unknown/w1.jsonl and in _events/unknown/w2.jsonl"}},
		"a frame without a face has events":       {func(s *scene) { s.writeAll(0); s.replace(0, lines(5, 1), lines(4, 1)+lines(5, 1)) }, []string{"events_unknown: offset 4 of partition 0 of topic t: there are events in _events/unknown/w1.jsonl, and the ledgers say that this record has none"}},
		"an event is of no record":                {func(s *scene) { s.writeAll(0); s.replace(0, lines(5, 1), lines(5, 1)+lines(50, 1)) }, []string{"events_unknown: offset 50 of partition 0 of topic t: there are events in _events/unknown/w1.jsonl, and the topic has no such record"}},
		"a face is of no frame":                   {func(s *scene) { s.writeAll(0); s.replace(0, `"face":2,`, `"face":3,`) }, []string{"events_unknown: offset 0 of partition 0 of topic t: there is face 3 of 2 in"}},
		"events have another size":                {func(s *scene) { s.writeAll(0); s.replace(0, "}", " }") }, []string{"events_size: ledger w1, partition 0 of topic t: its 7 events have 406 bytes, and the lines have 407"}},
		"events are cut short":                    {func(s *scene) { s.writeAll(0); s.replace(0, lines(6, 1), lines(6, 1)[:20]) }, []string{"events_missing: offset 6 of", "events_unreadable: _events/unknown/w1.jsonl: line 7 is no event: EOF"}},
		"a line is no event":                      {func(s *scene) { s.writeAll(0); s.replace(0, lines(6, 1), "{}\n"+lines(6, 1)) }, []string{"events_unreadable: _events/unknown/w1.jsonl: line 7 is no event: there is no such face of a record"}},
		"events have no ledger":                   {func(s *scene) { s.events["_events/unknown/w0.jsonl"] = "x" }, []string{"events_unknown: there are events in _events/unknown/w0.jsonl, which is in no ledger"}},
		"events of an older version are missing":  {func(s *scene) { s.writeEvents(0, false); s.replace(0, lines(5, 1), "") }, []string{"events_missing: ledger w1, partition 0 of topic t: events are 7, and there are 6 lines"}},
		"a book has lost an event":                {func(s *scene) { s.book(archived, open); s.replace(0, lines(5, 1), "") }, []string{"events_missing: offset 5 of", "events_size: ledger g+t/2026-01/02T03: it has 406 bytes of events in a file that begins with window 20260102T030000.000Z-5f3a9c01 and has 348"}},
		"a book has lost a file":                  {func(s *scene) { s.book(archived, open); delete(s.events, ofArchived) }, []string{"events_missing: offsets 0 to 3", "events_missing: offsets 5 to 6", "events_size: and has 0"}},
		"a book has lost a window":                {func(s *scene) { s.book(newest, open); s.windows[1].Ledger.Number++ }, []string{"ledger_order: ledger g+t/20260102T060000.000Z-5f3a9c01: its number is 9, and that of the one before it is 7: one is missing"}},
		"a book has a number twice":               {func(s *scene) { s.book(newest, open); s.windows[1].Ledger.Number-- }, []string{"ledger_order: its number is 7, and that of the one before it is 7"}},
		"a book goes back": {func(s *scene) { s.book(archived, newest); s.windows[1].Ledger.Positions[0].Offset = 9 }, []string{
			"ledger_order: ledger g+t/hour: it stands at offset 9 of partition 0 of topic t, and the one before it at offset 10", "ledger_order: it has offset 18 of partition 0 of topic t, and stands at offset 10"}},
		"a book has records twice": {
			func(s *scene) {
				s.windows = append(s.windows, newWindow("", 10))
				s.book(newest, open, "20260102T060001.000Z-5f3a9c01")
			},
			[]string{"ledger_twice: offsets 10 to 18 of partition 0 of topic t: in the ledgers g+t/20260102T060000.000Z-5f3a9c01 and g+t/20260102T060001.000Z-5f3a9c01",
				"events_twice: offsets 10 to 13 of", "events_twice: offsets 15 to 16 of"},
		},
		"an hour of a book cannot be read": {
			func(s *scene) { s.book(archived, newest); s.windows[0].Err = errors.New("torn") },
			[]string{"ledger_unreadable: ledger g+t/2026-01/02T03: torn", "gap: offsets 0 to 9", "events_unknown: there are events in " + ofArchived + ", which is in no ledger",
				"picture_unknown: 0000.jpg", "picture_unknown: 0001.jpg", "picture_unknown: 0002.jpg", "picture_unknown: 0003.jpg", "picture_unknown: 0005.jpg", "picture_unknown: 0006.jpg", "reject_unknown: offset 8"},
		},
		"a file of an hour that is over has more than its ledger": {
			func(s *scene) { s.book(archived, newest); s.events[ofArchived] += "x" },
			[]string{"events_size: ledger g+t/2026-01/02T03: it has 406 bytes of events in a file that begins with window 20260102T030000.000Z-5f3a9c01 and has 407"},
		},
		"a file of a book is of no ledger": {
			func(s *scene) {
				s.book(archived, newest)
				s.events["_events/2026-01-02/20260102T020000.000Z-5f3a9c01.jsonl"] = "x"
			},
			[]string{"events_unknown: there are events in _events/2026-01-02/20260102T020000.000Z-5f3a9c01.jsonl, which is in no ledger"},
		},
		// The group was lost, and a run of an older version that began anew took back all its
		// events, also those of records that Kafka had removed.
		"events were taken back, and their records were gone": {
			func(s *scene) {
				s.writeAll(0)
				s.writeAll(1)
				s.events["_events/unknown/w1.jsonl"] = ""
				s.windows = append(s.windows, newWindow("w3", 10))
				s.writeAll(2)
				delete(s.events, "_events/unknown/w2.jsonl")
				s.logs[0].Start, s.ledger(1).From = 10, 9
			},
			[]string{"events_missing: offsets 0 to 3 of partition 0 of topic t: events missing", "events_missing: offsets 5 to 6 of"},
		},
		"events were taken back, and all records were gone": {
			func(s *scene) {
				s.writeEvents(0, false)
				s.writeEvents(1, false)
				clear(s.events)
				s.ledger(1).From = 9
				s.logs[0] = log(0, 23, 23, NotCommitted)
			},
			[]string{"events_missing: ledger w1, partition 0 of topic t: events are 7, and there are 0 lines", "events_missing: ledger w2"},
		},
		"events are fewer than faces": {func(s *scene) { s.writeAll(0); s.ledger(0).Events-- }, []string{"ledger_sum: events are 6, and 7 faces give 7", "events_unknown: ledger w1, partition 0 of topic t: events are 6, and there are 7 lines"}},
		"pictures are missing": {
			func(s *scene) {
				for _, offset := range []int64{2, 3, 5, 12} {
					delete(s.files, picture(offset))
				}
			},
			[]string{"picture_missing: offsets 2 to 3 of", "picture_missing: offset 5 of", "picture_missing: offset 12 of"},
		},
		"a record has two pictures": {
			func(s *scene) { s.files["other"+strings.TrimPrefix(picture(12), "door")] = pictureSize },
			[]string{"ledger_bytes: ledger w2", "picture_twice: offset 12 of partition 0 of topic t: there are door/2026/01/02/03/t+0+00000000000000000012.jpg and other/2026/01/02/03/t+0+00000000000000000012.jpg"},
		},
		"a frame without a face has a picture": {
			func(s *scene) { s.files[picture(4)] = 1 },
			[]string{"picture_unknown: offset 4 of partition 0 of topic t: there is door/2026/01/02/03/t+0+00000000000000000004.jpg, and the ledgers say that this record has none"},
		},
		"a lost record has a picture": {
			func(s *scene) {
				s.logs[0].Start = 10
				s.dropFirst()
				s.ledger(0).Lost = testkit.Ranges(0, 9)
				s.files[picture(3)] = pictureSize
			},
			[]string{"picture_unknown: offset 3 of partition 0 of topic t: there is door/2026/01/02/03/t+0+00000000000000000003.jpg, and the ledgers say that this record was lost"},
		},
		"a picture is of no record": {func(s *scene) { s.files[picture(23)] = 1 }, []string{"picture_unknown: and the topic has no such record"}},
		"a reject is missing":       {func(s *scene) { delete(s.files, reject(8)) }, []string{"reject_missing: offset 8 of partition 0 of topic t: file about the rejection missing"}},
		"a kept value is missing":   {func(s *scene) { keep(&s.windows[0]) }, []string{"kept_reject_missing: offset 8 of partition 0 of topic t: file with the kept value missing"}},
		"a kept value is unknown":   {func(s *scene) { s.files[keptReject(8)] = 1000 }, []string{"kept_reject_unknown: offset 8 of partition 0 of topic t: there is _rejects/door/2026/01/02/03/t+0+00000000000000000008.bin, and"}},
		"there are strange files":   {func(s *scene) { s.files["notes.txt"], s.files["_windows/x"] = 1, 1 }, []string{"file_unknown: _windows/x has no name", "file_unknown: notes.txt has no name"}},
		"there is a strange topic": {
			func(s *scene) { s.files[strings.Replace(picture(1), "t+0", "u+0", 1)] = 1 },
			[]string{"file_unknown: door/2026/01/02/03/u+0+00000000000000000001.jpg is of topic u, which was not asked for and is in no ledger"},
		},
		"a temporary file is old": {func(s *scene) { s.files["_tmp/run/A"], s.times["_tmp/run/A"] = 7, old }, []string{"temporary_old: _tmp/run/A was left by an attempt that is dead"}},
		"a window is under way": {
			func(s *scene) { s.files[picture(20)], s.files[picture(22)], s.files[reject(21)] = 1, 1, 1 },
			[]string{"pending: offsets 20 to 22 of partition 0 of topic t: in no ledger yet (pictures: 2, rejects: 1); a window is under way"},
		},
		"a window has failed before anything was committed": {
			func(s *scene) {
				s.windows, s.logs[0].Committed = nil, NotCommitted
				s.cut(0)
				s.files[picture(0)] = 1
			},
			[]string{"pending: offset 0 of partition 0 of topic t: in no ledger yet (pictures: 1, rejects: 0)"},
		},
		"a ledger was removed": {
			func(s *scene) { s.windows = s.windows[1:]; s.cut(5) },
			[]string{"gap: offsets 0 to 9 of partition 0 of topic t: in Kafka and in no ledger, although later ones are done",
				"picture_unknown: 0000.jpg, and no ledger has this record", "picture_unknown: 0001.jpg", "picture_unknown: 0002.jpg", "picture_unknown: 0003.jpg",
				"picture_missing: offsets 10 to 13", "picture_missing: offsets 15 to 16", "reject_missing: offset 18"},
		},
		"the last ledger was removed": {func(s *scene) { s.windows = s.windows[:1]; s.cut(9) }, []string{"committed_unknown: offsets 10 to 18 of partition 0 of topic t: committed, and in no ledger"}},
		"a ledger was removed, and then Kafka removed a part": {
			func(s *scene) {
				s.windows = append(s.windows, newWindow("w3", 20))
				s.logs[0] = log(0, 14, 29, 29)
				s.windows = slices.Delete(s.windows, 1, 2)
				s.cut(10)
				s.fill(20)
			},
			[]string{"gap_removed: offsets 9 to 13 of partition 0 of topic t: removed by Kafka, and in no ledger", "gap: offsets 14 to 19 of"},
		},
		"Kafka removed what was committed without a ledger": {func(s *scene) { s.logs[0] = log(0, 21, 23, 22); s.records[21] = false }, []string{"gap_removed: offset 9 of", "gap_removed: offsets 19 to 20 of"}},
		"a record was passed over":                          {func(s *scene) { s.records[9] = true }, []string{"gap: offset 9 of partition 0 of topic t: in Kafka and in no ledger"}},
		"a record inside a window was passed over":          {func(s *scene) { skip(s.ledger(0), 7) }, []string{"gap: offset 7 of partition 0 of topic t"}},
		"records before the first are there":                {func(s *scene) { s.dropFirst() }, []string{"gap: offsets 0 to 9 of"}},
		"lost records are there": {
			func(s *scene) { s.dropFirst(); s.ledger(0).Lost = testkit.Ranges(0, 9) },
			[]string{"gap: offsets 0 to 9 of"},
		},
		"the topic was made anew": {func(s *scene) { s.logs[0].End = 3 }, []string{"topic_shorter: offsets 3 to 18 of partition 0 of topic t"}},
		"it has become longer": {
			func(s *scene) {
				s.windows[0].Ledger.Run.TopicIDs = map[string]string{"t": "before"}
				s.windows[1].Ledger.Run.TopicIDs = map[string]string{"t": "now"}
			},
			[]string{"topic_anew: ledger w1: topic t was made anew since group g read it: it had the id before, and has now;"},
		},
		"the partition is gone": {func(s *scene) { s.logs = nil }, []string{"topic_shorter: offsets 0 to 18 of partition 0 of topic t"}},
	} {
		t.Run(name, func(t *testing.T) { mustReport(t, test.change, test.want...) })
	}
}

// mustReport changes the scene, and demands these problems and no others.
func mustReport(t *testing.T, change func(s *scene), want ...string) {
	t.Helper()
	s := newScene()
	change(s)
	r := s.report(t)
	testkit.Equal(t, "whether it agrees", r.Agrees, (len(want) == 0))
	for _, p := range r.Problems {
		if !slices.Contains(Kinds, p.Kind) {
			t.Errorf("kind %q is not in Kinds", p.Kind)
		}
		i := slices.IndexFunc(want, func(want string) bool {
			kind, text, _ := strings.Cut(want, ": ")
			return p.Kind == kind && strings.Contains(p.Text, text)
		})
		if i < 0 {
			t.Errorf("not expected: %s: %s", p.Kind, p.Text)
		} else {
			want = slices.Delete(want, i, i+1)
		}
	}
	testkit.Equal(t, "what is missing", want, nil)
}

// cut removes all files of records from an offset on.
func (s *scene) cut(offset int64) {
	maps.DeleteFunc(s.files, func(name string, _ int64) bool {
		_, id := store.KindOf(name)
		return id.Topic == "t" && id.Offset >= offset
	})
}

// dropFirst takes the first of two windows back, with its files.
func (s *scene) dropFirst() {
	s.windows = s.windows[1:]
	s.cut(0)
	s.fill(10)
}

// fill adds the files of a window that begins at an offset.
func (s *scene) fill(first int64) {
	for _, i := range []int64{0, 1, 2, 3, 5, 6} {
		s.files[picture(first+i)] = pictureSize
	}
	s.files[reject(first+8)] = 500
}

// The fields of a problem say what its text says, for a program.
func TestProblemFields(t *testing.T) {
	s := newScene()
	delete(s.files, picture(12))
	delete(s.files, picture(13))
	s.files[picture(4)] = 1
	data := testkit.Value(json.Marshal(s.report(t).Problems))(t)
	want := `[{"kind":"picture_missing","topic":"t","partition":0,"offsets":{"first":12,"last":13},"ledger":"w2","text":"offsets 12 to 13 of partition 0 of topic t: picture missing"},` +
		`{"kind":"picture_unknown","topic":"t","partition":0,"offsets":{"first":4,"last":4},"file":"door/2026/01/02/03/t+0+00000000000000000004.jpg",` +
		`"text":"offset 4 of partition 0 of topic t: there is door/2026/01/02/03/t+0+00000000000000000004.jpg, and the ledgers say that this record has none"}]`
	testkit.Equal(t, "the problems", string(data), want)
}

// Whether it is interrupted or not, nothing of it stays on disk.
func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), interrupted} {
		a := testkit.Value(New([]string{"t"}, nil, 0))(t)
		a.AddFile(picture(3), 1, testTime)
		_, _, err := a.Compare(ctx, nil)
		testkit.Is(t, "comparing", err, ctx.Err())
		a.Close()
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there is %v (%v)", left, err)
	}
}

// Each record is chosen as often as the others, whatever n.
func TestSample(t *testing.T) {
	ranges := testkit.Ranges(3, 4, 8, 8, 10, 12)
	const times = 3000
	for n := range int64(8) {
		seen := map[int64]int64{}
		for range times {
			s := newSample(int(n))
			for _, r := range ranges {
				s.choose(r, func(offset int64) Chosen { return Chosen{ID: partition.At(offset)} })
			}
			if int64(len(s.chosen)) != min(n, 6) {
				t.Fatalf("%d records were chosen, want %d", len(s.chosen), n)
			}
			one := map[int64]bool{}
			for _, c := range s.chosen {
				if one[c.Offset] || !record.Contains(ranges, c.Offset) {
					t.Fatalf("%+v were chosen of %v", s.chosen, ranges)
				}
				one[c.Offset] = true
				seen[c.Offset]++
			}
		}
		for _, r := range ranges {
			for offset := r.First; offset <= r.Last; offset++ {
				// The standard deviation is at most 28.
				if want := min(n, 6) * times / 6; max(want-seen[offset], seen[offset]-want) > 200 {
					t.Errorf("offset %d was chosen %d times, want about %d", offset, seen[offset], want)
				}
			}
		}
	}
}

// What is known of a record that is chosen, for each that a ledger has and Kafka, too.
func TestChosen(t *testing.T) {
	s := newScene()
	s.writeAll(0)
	s.windows = append(s.windows, newWindow("w3", 0))
	s.logs[0].Start = 5
	_, a := s.compare(t, 100)
	chosen, settings := a.Chosen()
	var offsets []int64
	for _, c := range chosen {
		offsets = append(offsets, c.Offset)
	}
	testkit.Equal(t, "what is chosen", offsets, []int64{5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18})
	sum := func(i int) string { return s.windows[i].Ledger.Run.SettingsSHA256 }
	want := Chosen{
		ID: partition.At(5), Files: []Stored{{Name: picture(5)}, {Name: nameOf(5).AnnotatedPath()}, {Name: nameOf(5).FacePath(1)}},
		Ledgers: []OfLedger{{"w3", "g", sum(2), false, true, true}, {"w1", "g", sum(0), false, true, true}},
		Events:  []EventAt{{"g", "_events/unknown/w1.jsonl", int64(len(lines(0, 2) + lines(1, 1) + lines(2, 1) + lines(3, 1)))}},
	}
	testkit.Equal(t, "what is known of offset 5", chosen[0], want)
	if string(settings[sum(0)]) != string(s.windows[0].Ledger.Run.Settings) || len(settings) != 2 {
		t.Errorf("settings %s", settings)
	}
}

// log is what Kafka holds of a partition, and where the group stands.
func log(id int32, start, end, committed int64) Log {
	return Log{Log: kafka.Log{TopicPartition: record.In("t", id), Start: start, End: end}, Committed: committed}
}
