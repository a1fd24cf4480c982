package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"facestream/internal/record"
)

// WrongError says what is wrong with the ledger of a window. The records may be read again.
type WrongError struct{ text string }

func (e *WrongError) Error() string { return "the window's ledger is wrong: " + e.text }

// Stored is what a run's settings say of the files of a frame with faces.
type Stored struct {
	Frame, Annotated, Crops, Events bool
	KeepBytes                       int  // of rejected records
	Rows                            bool // pictures are rows of tables, and not files
}

// Stored returns what the run's settings say. Of settings that cannot be read it is what
// the first version stored: the frame.
func (r Run) Stored() Stored {
	var s struct {
		KeepBytes int    `json:"keep_bytes"`
		Write     string `json:"write"`
		Store     string `json:"store"`
	}
	_ = json.Unmarshal(r.Settings, &s)
	write := strings.Split(s.Write, ",")
	has := func(what string) bool { return slices.Contains(write, what) }
	return Stored{s.Write == "" || has("frame"), has("annotated"), has("crops"), has("events"), s.KeepBytes, s.Store == Parquet}
}

// Wrong returns what of the ledger does not add up, as sentences.
func (l Ledger) Wrong() (wrong []string) {
	for _, p := range l.Partitions {
		for _, text := range p.wrong(l.Run.Stored()) {
			wrong = append(wrong, p.TopicPartition.String()+": "+text)
		}
	}
	return wrong
}

func (p Partition) wrong(s Stored) (wrong []string) {
	for _, ranges := range [][]record.Range{p.Offsets, p.Pictures, p.Rejects, p.Lost} {
		if !record.InOrder(ranges) {
			return []string{fmt.Sprintf("%v are no ranges of offsets in order", ranges)} // then nothing adds up
		}
	}
	rejected := p.RejectedSum()
	read, stored := record.Count(p.Offsets), record.Count(p.Pictures)
	// Of the faces of cooled frames it is only known that each frame has one.
	least, most := p.Faces, p.Faces-p.Cooled
	if p.Cooled > 0 {
		least = stored
	}
	var files struct{ least, most int64 }
	for _, one := range []bool{s.Frame, s.Annotated} {
		if one {
			files.least, files.most = files.least+stored, files.most+stored
		}
	}
	if s.Crops {
		files.least, files.most = files.least+least, files.most+most
	}
	// Older versions listed no pictures of runs that wrote none.
	frames := p.FramesWithFaces - p.Cooled
	unlisted := stored == 0 && !s.Frame && !s.Annotated && !s.Crops
	for _, rule := range []struct {
		holds bool
		text  string
	}{
		{p.Read == read, fmt.Sprintf("records_read is %d, and there are %d offsets", p.Read, read)},
		{p.Read == p.Decoded+p.Skipped+p.Sampled+rejected, fmt.Sprintf("records_read is %d, and %d were decoded, %d skipped, %d sampled, %d rejected", p.Read, p.Decoded, p.Skipped, p.Sampled, rejected)},
		{stored == frames || unlisted, fmt.Sprintf("frames_with_faces is %d, %d of them cooled, and %d offsets have pictures", p.FramesWithFaces, p.Cooled, stored)},
		{record.Count(p.Rejects) == rejected, fmt.Sprintf("rejected are %d, and %d offsets have files about that", rejected, record.Count(p.Rejects))},
		{files.least <= p.Files && p.Files <= files.most, fmt.Sprintf("files_written is %d, and %d offsets with %d faces give %d", p.Files, stored, p.Faces, files.most)},
		{p.Events == 0 && !s.Events || s.Events && min(least, most) <= p.Events && p.Events <= most, fmt.Sprintf("events are %d, and %d faces give %d", p.Events, p.Faces, most)},
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

// setEventBytes takes the bytes of each partition's events from the file that the window
// wrote, and makes sure that the file has the lines that were counted, each face once.
func (l *Ledger) setEventBytes(data []byte) error {
	type face struct {
		record.ID
		Face int `json:"face"`
	}
	seen := map[face]bool{}
	lines, size := map[record.TopicPartition]int64{}, map[record.TopicPartition]int64{}
	for line := range strings.Lines(string(data)) {
		var of face
		if err := json.Unmarshal([]byte(line), &of); err != nil {
			return &WrongError{fmt.Sprintf("its events have the line %.100q: %v", line, err)}
		}
		if seen[of] {
			return &WrongError{fmt.Sprintf("face %d of %s is twice in its events", of.Face, of.ID)}
		}
		seen[of] = true
		lines[of.TopicPartition]++
		size[of.TopicPartition] += int64(len(line))
	}
	for i := range l.Partitions {
		p := &l.Partitions[i]
		if n := lines[p.TopicPartition]; n != p.Events {
			return &WrongError{fmt.Sprintf("%s has %d events, and %d were written", p.TopicPartition, p.Events, n)}
		}
		p.EventBytes = size[p.TopicPartition]
		delete(lines, p.TopicPartition)
	}
	for p := range lines {
		return &WrongError{fmt.Sprintf("there are events of %s, of which no record was read", p)}
	}
	return nil
}
