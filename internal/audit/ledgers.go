package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"facestream/internal/record"
	"facestream/transforms/store"
)

// Window is a window with its ledger.
type Window struct {
	Name   string
	Ledger store.Ledger
	Err    error // what is wrong with the ledger if it cannot be read
}

// Covers reports whether the window has read a record.
func (w Window) Covers(id record.ID) bool {
	for _, p := range w.Ledger.Partitions {
		if p.TopicPartition == id.TopicPartition {
			return record.Contains(p.Offsets, id.Offset)
		}
	}
	return false
}

// Lists reports whether the ledger has a file of a record that the window has read.
func (w Window) Lists(id record.ID) bool {
	for _, p := range w.Ledger.Partitions {
		if p.TopicPartition == id.TopicPartition {
			return record.Contains(p.Pictures, id.Offset) || record.Contains(p.Rejects, id.Offset)
		}
	}
	return false
}

// check returns what is wrong with the ledger by itself.
func (w Window) check() (problems []Problem) {
	if w.Err != nil {
		return []Problem{{Kind: LedgerUnreadable, Ledger: w.Name, Text: fmt.Sprintf("ledger %s: %v", w.Name, w.Err)}}
	}
	if sum := settingsSum(w.Ledger.Run); sum != w.Ledger.Run.SettingsSHA256 {
		problems = append(problems, Problem{
			Kind: LedgerSum, Ledger: w.Name,
			Text: fmt.Sprintf("ledger %s: its settings have the SHA-256 %s, and it says %q", w.Name, sum, w.Ledger.Run.SettingsSHA256),
		})
	}
	for _, p := range w.Ledger.Partitions {
		for _, text := range checkPartition(settingsOf(w.Ledger.Run), p) {
			problems = append(problems, Problem{
				Kind: LedgerSum, Topic: p.Topic, Partition: &p.Partition, Ledger: w.Name,
				Text: fmt.Sprintf("ledger %s, %s: %s", w.Name, p.TopicPartition, text),
			})
		}
	}
	return problems
}

// settingsSum returns the SHA-256 of the compact settings.
func settingsSum(run store.Run) string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, run.Settings); err != nil {
		return "" // no JSON, so none
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// settings are those of a run's that say which files there are.
type settings struct {
	KeepBytes int    `json:"keep_bytes"` // of rejected records
	Write     string `json:"write"`      // a list; empty is "frame", as it was once
}

// settingsOf returns those of a run. What cannot be read is LedgerSum.
func settingsOf(run store.Run) (s settings) {
	_ = json.Unmarshal(run.Settings, &s)
	return s
}

func (s settings) writes(what string) bool {
	return slices.Contains(strings.Split(s.Write, ","), what)
}

// families returns which files a frame with faces has.
func (s settings) families() (which []int) {
	if s.Write == "" || s.writes("frame") {
		which = append(which, pictures)
	}
	if s.writes("annotated") {
		which = append(which, annotated)
	}
	if s.writes("crops") {
		which = append(which, crops)
	}
	return which
}

// overlaps reports whether the window has read a record of a ledger, too.
func (w Window) overlaps(l store.Partition) bool {
	return slices.ContainsFunc(w.Ledger.Partitions, func(p store.Partition) bool {
		return p.TopicPartition == l.TopicPartition && record.Count(record.Subtract(l.Offsets, p.Offsets)) < record.Count(l.Offsets)
	})
}

func checkPartition(s settings, p store.Partition) (wrong []string) {
	for _, ranges := range [][]record.Range{p.Offsets, p.Pictures, p.Rejects, p.Lost} {
		if !record.InOrder(ranges) {
			return []string{fmt.Sprintf("%v are no ranges of offsets in order", ranges)} // then nothing adds up
		}
	}
	var rejected int64
	for _, n := range p.Rejected {
		rejected += n
	}
	read := record.Count(p.Offsets)
	// Of the faces of cooled frames it is only known that each frame has one.
	frames, stored, least := int64(0), record.Count(p.Pictures), p.Faces
	if p.Cooled > 0 {
		least = stored
	}
	var files, events struct{ least, most int64 }
	for _, which := range s.families() {
		frames = p.FramesWithFaces - p.Cooled
		if which == crops {
			files.least, files.most = files.least+least, files.most+p.Faces-p.Cooled
		} else {
			files.least, files.most = files.least+stored, files.most+stored
		}
	}
	if s.writes("events") {
		events.least, events.most = least, p.Faces-p.Cooled
	}
	for _, rule := range []struct {
		holds bool
		text  string
	}{
		{p.Read == read, fmt.Sprintf("records_read is %d, and there are %d offsets", p.Read, read)},
		{p.Read == p.Decoded+p.Skipped+p.Sampled+rejected, fmt.Sprintf("records_read is %d, and %d were decoded, %d skipped, %d sampled, %d rejected", p.Read, p.Decoded, p.Skipped, p.Sampled, rejected)},
		{stored == frames, fmt.Sprintf("frames_with_faces is %d, %d of them cooled, and %d offsets have pictures", p.FramesWithFaces, p.Cooled, stored)},
		{record.Count(p.Rejects) == rejected, fmt.Sprintf("rejected are %d, and %d offsets have files about that", rejected, record.Count(p.Rejects))},
		{files.least <= p.Files && p.Files <= files.most, fmt.Sprintf("files_written is %d, and %d offsets with %d faces give %d", p.Files, stored, p.Faces, files.most)},
		{events.least <= p.Events && p.Events <= events.most, fmt.Sprintf("events are %d, and %d faces give %d", p.Events, p.Faces, events.most)},
		{p.FramesWithFaces <= p.Decoded && p.FramesWithFaces <= p.Faces, fmt.Sprintf("%d frames of %d have %d faces", p.FramesWithFaces, p.Decoded, p.Faces)},
		{read == 0 || p.FirstOffset == p.Offsets[0].First && p.LastOffset == record.End(p.Offsets)-1, fmt.Sprintf("first_offset and last_offset are %d and %d, and the offsets %v", p.FirstOffset, p.LastOffset, p.Offsets)},
		{len(record.Subtract(p.Pictures, p.Offsets)) == 0, "there are pictures of offsets that were not read"},
		{len(record.Subtract(p.Rejects, p.Offsets)) == 0, "there are rejects of offsets that were not read"},
		{record.Count(record.Subtract(p.Pictures, p.Rejects)) == stored, "there are pictures of rejected records"},
	} {
		if !rule.holds {
			wrong = append(wrong, rule.text)
		}
	}
	return wrong
}
