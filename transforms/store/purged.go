package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"facestream/internal/record"
)

const (
	// purgedFolder has the file that says what was purged, and folders that are about to go.
	purgedFolder = "_purged"
	PurgedFile   = purgedFolder + "/records.json" // of Purged, below the root
)

// Purged says of which records the files or events were removed on purpose. What is not
// among them and in no ledger either is missing.
type Purged struct {
	Files  Marks `json:"files"`
	Events Marks `json:"events"`
	// Retained is when a run last removed what was too old; see Retain.
	Retained time.Time `json:"retained"`
}

// ReadPurged reads what was purged from an output.
func ReadPurged(ctx context.Context, cfg Config) (p Purged, err error) {
	data, err := cfg.Read(ctx, PurgedFile)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if p.Files == nil {
		p.Files = Marks{}
	}
	if p.Events == nil {
		p.Events = Marks{}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("reading %s: %w", cfg.path(PurgedFile), err)
	}
	return p, nil
}

// Marks are ranges of offsets by partition. A topic is as the names of files have it:
// see TopicInNames.
type Marks map[record.TopicPartition][]record.Range

type marked struct {
	record.TopicPartition
	Offsets []record.Range `json:"offsets"`
}

func (m Marks) MarshalJSON() ([]byte, error) {
	all := []marked{}
	for p, ranges := range m {
		all = append(all, marked{p, ranges})
	}
	slices.SortFunc(all, func(a, b marked) int { return a.Compare(b.TopicPartition) })
	return json.Marshal(all)
}

func (m *Marks) UnmarshalJSON(data []byte) error {
	var all []marked
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*m = Marks{}
	for _, one := range all {
		m.add(one.TopicPartition, one.Offsets...)
	}
	return nil
}

// add adds ranges of a partition, in any order, and reports whether any offset is new.
func (m Marks) add(p record.TopicPartition, ranges ...record.Range) (changed bool) {
	p.Topic = TopicInNames(p.Topic)
	before := m[p]
	if all := record.Merge(before, record.Union(ranges)); !slices.Equal(all, before) {
		m[p], changed = all, true
	}
	return changed
}

// addRecords is add for records of any partitions.
func (m Marks) addRecords(ids []record.ID) (changed bool) {
	of := map[record.TopicPartition][]record.Range{}
	for _, id := range ids {
		of[id.TopicPartition] = append(of[id.TopicPartition], id.Range())
	}
	for p, ranges := range of {
		changed = m.add(p, ranges...) || changed
	}
	return changed
}

// Has reports whether a record is marked.
func (m Marks) Has(id record.ID) bool {
	return record.Contains(m[record.In(TopicInNames(id.Topic), id.Partition)], id.Offset)
}

// without returns which offsets of a partition are not marked.
func (m Marks) without(p record.TopicPartition, offsets []record.Range) []record.Range {
	return record.Subtract(record.Union(offsets), m[record.In(TopicInNames(p.Topic), p.Partition)])
}

// ParseMarks reads a list of records, one a line, as the names of pictures have them:
// topic+partition+offset.
func ParseMarks(text string) (Marks, error) {
	var ids []record.ID
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var id record.ID
		fields := strings.Split(line, "+")
		ok := len(fields) == 3
		if ok {
			_, err := fmt.Sscanf(fields[1]+" "+fields[2]+"\n", "%d %d\n", &id.Partition, &id.Offset)
			ok = err == nil && fields[0] != "" && id.Partition >= 0 && id.Range().Valid()
		}
		if !ok {
			return nil, fmt.Errorf("line %d is %.100q: it must be TOPIC+PARTITION+OFFSET, such as holiday+2+41", n, line)
		}
		// The name of a file has a topic of odd characters escaped.
		if id.Topic, ok = unescape(fields[0]); !ok {
			id.Topic = fields[0]
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, errors.New("it has no records: write one a line, as TOPIC+PARTITION+OFFSET, such as holiday+2+41")
	}
	m := Marks{}
	m.addRecords(ids)
	return m, nil
}

// TopicInNames returns a topic as it comes back from the name of a file: a long one is cut
// there.
func TopicInNames(topic string) string {
	if strings.Contains(topic, cutMark) { // no topic of Kafka has it
		return topic
	}
	back, _ := unescape(escape(topic))
	return cmp.Or(back, topic)
}
