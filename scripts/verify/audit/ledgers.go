package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"facestream/transforms/store"
)

// Window is a window with its ledger.
type Window struct {
	Name   string
	Ledger store.Ledger
	Err    error // what is wrong with the ledger if it cannot be read
}

// Covers says whether the window has read a record.
func (w Window) Covers(topic string, partition int32, offset int64) bool {
	for _, p := range w.Ledger.Partitions {
		if p.Topic == topic && p.Partition == partition {
			return contains(p.Offsets, offset)
		}
	}
	return false
}

// Lists says whether the ledger has a file of a record that the window has read.
func (w Window) Lists(topic string, partition int32, offset int64) bool {
	for _, p := range w.Ledger.Partitions {
		if p.Topic == topic && p.Partition == partition {
			return contains(p.Pictures, offset) || contains(p.Rejects, offset)
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
		for _, text := range checkPartition(p) {
			problems = append(problems, Problem{
				Kind: LedgerSum, Topic: p.Topic, Partition: &p.Partition, Ledger: w.Name,
				Text: fmt.Sprintf("ledger %s, partition %d of topic %s: %s", w.Name, p.Partition, p.Topic, text),
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

// keepsRejects says whether the run stored the values of rejected records too.
func keepsRejects(run store.Run) bool {
	var settings struct {
		KeepBytes int `json:"keep_bytes"`
	}
	return json.Unmarshal(run.Settings, &settings) == nil && settings.KeepBytes > 0
}

func checkPartition(p store.Partition) (wrong []string) {
	for _, ranges := range [][]store.Range{p.Offsets, p.Pictures, p.Rejects, p.Lost} {
		if !inOrder(ranges) {
			return []string{fmt.Sprintf("%v are no ranges of offsets in order", ranges)} // then nothing adds up
		}
	}
	var rejected int64
	for _, n := range p.Rejected {
		rejected += n
	}
	read := store.Count(p.Offsets)
	for _, rule := range []struct {
		holds bool
		text  string
	}{
		{p.Read == read, fmt.Sprintf("records_read is %d, and there are %d offsets", p.Read, read)},
		{p.Read == p.Decoded+p.Skipped+p.Sampled+rejected, fmt.Sprintf("records_read is %d, and %d were decoded, %d skipped, %d sampled, %d rejected", p.Read, p.Decoded, p.Skipped, p.Sampled, rejected)},
		{store.Count(p.Pictures)+p.Cooled == p.FramesWithFaces, fmt.Sprintf("frames_with_faces is %d, %d of them cooled, and %d offsets have pictures", p.FramesWithFaces, p.Cooled, store.Count(p.Pictures))},
		{store.Count(p.Rejects) == rejected, fmt.Sprintf("rejected are %d, and %d offsets have files about that", rejected, store.Count(p.Rejects))},
		{p.Files >= store.Count(p.Pictures), fmt.Sprintf("files_written is %d, and %d offsets have pictures", p.Files, store.Count(p.Pictures))},
		{p.FramesWithFaces <= p.Decoded && p.FramesWithFaces <= p.Faces, fmt.Sprintf("%d frames of %d have %d faces", p.FramesWithFaces, p.Decoded, p.Faces)},
		{read == 0 || p.FirstOffset == p.Offsets[0].First && p.LastOffset == end(p.Offsets)-1, fmt.Sprintf("first_offset and last_offset are %d and %d, and the offsets %v", p.FirstOffset, p.LastOffset, p.Offsets)},
		{len(subtract(p.Pictures, p.Offsets)) == 0, "there are pictures of offsets that were not read"},
		{len(subtract(p.Rejects, p.Offsets)) == 0, "there are rejects of offsets that were not read"},
		{store.Count(subtract(p.Pictures, p.Rejects)) == store.Count(p.Pictures), "there are pictures of rejected records"},
	} {
		if !rule.holds {
			wrong = append(wrong, rule.text)
		}
	}
	return wrong
}
