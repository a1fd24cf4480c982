package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"facestream/internal/record"
)

const (
	// maxPart is the longest escaped camera or topic, in bytes. With the rest
	// of a file name around it a topic stays below the 255 bytes that HDFS and
	// local disks allow.
	maxPart = 180
	// cutMark stands between the first bytes of a longer camera or topic and the
	// hash of the whole. It is not a safe byte, so that no other name has it.
	cutMark = "~"
	// emptyPart is the name of a camera or topic that has none.
	emptyPart = "unknown"

	hourLayout = "2006/01/02/15"

	pictureExtension   = ".jpg"
	annotatedExtension = ".annotated.jpg"
	faceMark           = ".face-"
	rejectExtension    = ".json"
	keptExtension      = ".bin"

	// rejectFolder holds what is known of rejected records, below the root.
	rejectFolder = "_rejects"
	// undatedFolder holds those of a camera's records whose timestamp is no time.
	undatedFolder = "undated"
)

// Name is what the name of a file about a record says. Camera and topic are any text from
// outside, partition and offset are not negative.
type Name struct {
	record.ID
	Camera          string
	TimestampMillis int64 // of the record, since 1970
}

// Path returns the picture's place below the root:
//
//	<camera>/<yyyy>/<mm>/<dd>/<hh>/<topic>+<partition>+<offset, 20 digits>.jpg
//	<camera>/undated/<millions>/<thousands>/<topic>+<partition>+<offset, 20 digits>.jpg
//
// The hour is in UTC. An undated record (see record.Dated) is in a folder by its offset,
// so that no folder grows without end. In camera and topic everything but A-Z a-z 0-9 .
// _ - is escaped as %XX, byte for byte, and so is a leading dot or underscore: folders
// such as _tmp are ours, and Hadoop's tools hide both. What is still longer than maxPart
// is cut and gets a hash, so that two cameras never share a folder.
func (n Name) Path() string { return n.base() + pictureExtension }

// AnnotatedPath is Path for the picture with the faces drawn in, with the
// extension .annotated.jpg.
func (n Name) AnnotatedPath() string { return n.base() + annotatedExtension }

// FacePath is Path for the picture of one face, with the extension
// .face-<number>.jpg. Numbers begin with 1.
func (n Name) FacePath(number int) string {
	return n.base() + faceMark + strconv.Itoa(number) + pictureExtension
}

// RejectPath returns the place of the file about a rejected record: as Path, but below
// _rejects and with the extension .json.
func (n Name) RejectPath() string { return rejectFolder + "/" + n.base() + rejectExtension }

// KeptPath is RejectPath for the kept bytes of the record's value, with the
// extension .bin.
func (n Name) KeptPath() string { return rejectFolder + "/" + n.base() + keptExtension }

// base is the path of a picture without an extension.
func (n Name) base() string {
	folder := undated(n.Offset)
	if record.Dated(n.TimestampMillis) {
		folder = time.UnixMilli(n.TimestampMillis).UTC().Format(hourLayout)
	}
	return escape(n.Camera) + "/" + folder + "/" + RecordName(n.ID)
}

// undated is the folder of an undated record, below its camera's.
func undated(offset int64) string {
	return fmt.Sprintf("%s/%d/%03d", undatedFolder, offset/1e6, offset/1e3%1e3)
}

// RecordName is a record's identity in a file name.
func RecordName(id record.ID) string {
	return fmt.Sprintf("%s+%d+%020d", escape(id.Topic), id.Partition, id.Offset)
}

// parsePath is the way back from the name of a file below the root to the record that it
// is about, and to what it is of this record. A topic that was cut comes back as it stands
// in the name. Not ok is what no Name gives, but for what older versions stored: rejects
// in _rejects itself, and pictures in hours of any year from 1970 on.
func parsePath(name string) (id record.ID, kind Kind, ok bool) {
	dir, file := path.Split(name)
	base, kind, _ := cutExtension(file)
	below, rejected := strings.CutPrefix(dir, rejectFolder+"/")
	if kind == KindUnknown || rejected != (kind == KindReject || kind == KindKept) {
		return id, kind, false
	}
	if id, ok = parseRecordName(base); !ok || rejected && below == "" {
		return id, kind, ok
	}
	camera, folder, _ := strings.Cut(strings.TrimSuffix(below, "/"), "/")
	_, ok = unescape(camera)
	hour, err := time.Parse(hourLayout, folder)
	return id, kind, ok && (folder == undated(id.Offset) || err == nil && hour.Unix() >= 0)
}

// cutExtension says of what kind a file about a record is, and which face it shows.
func cutExtension(file string) (base string, kind Kind, face int) {
	for extension, kind := range map[string]Kind{annotatedExtension: KindAnnotated, rejectExtension: KindReject, keptExtension: KindKept} {
		if base, ok := strings.CutSuffix(file, extension); ok {
			return base, kind, 0
		}
	}
	base, ok := strings.CutSuffix(file, pictureExtension)
	if !ok {
		return "", KindUnknown, 0
	}
	// A topic may hold the mark, what follows it in a picture's name is a number.
	if i := strings.LastIndex(base, faceMark); i > strings.LastIndex(base, "+") {
		digits := base[i+len(faceMark):]
		number, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || number == 0 || strconv.FormatUint(number, 10) != digits {
			return "", KindUnknown, 0
		}
		return base[:i], KindFace, int(number)
	}
	return base, KindPicture, 0
}

// parseRecordName is the way back from RecordName.
func parseRecordName(base string) (id record.ID, ok bool) {
	fields := strings.Split(base, "+")
	if len(fields) != 3 {
		return id, false
	}
	topic, ok := unescape(fields[0])
	partition, err := strconv.ParseUint(fields[1], 10, 31)
	ok = ok && err == nil && strconv.FormatUint(partition, 10) == fields[1]
	offset, err := strconv.ParseUint(fields[2], 10, 63)
	ok = ok && err == nil && len(fields[2]) == 20
	return record.In(topic, int32(partition)).At(int64(offset)), ok
}

// escape makes one path component of any text.
func escape(s string) string {
	if s == "" {
		return emptyPart
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; safe(c) && (i > 0 || c != '.' && c != '_') {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
		if b.Len() > maxPart {
			return cut(b.String(), s)
		}
	}
	return b.String()
}

func cut(escaped, s string) string {
	sum := sha256.Sum256([]byte(s))
	hash := cutMark + hex.EncodeToString(sum[:16])
	head := escaped[:maxPart-len(hash)]
	if i := strings.LastIndex(head, "%"); i >= 0 && i > len(head)-3 {
		head = head[:i] // no half of an escape
	}
	return head + hash
}

// unescape reports false for what escape does not give.
func unescape(part string) (string, bool) {
	if head, hash, ok := strings.Cut(part, cutMark); ok {
		sum, err := hex.DecodeString(hash)
		_, headOK := unescape(head)
		return part, err == nil && len(sum) == 16 && headOK
	}
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			b.WriteByte(part[i])
			continue
		}
		if i+2 >= len(part) {
			return "", false
		}
		c, err := strconv.ParseUint(part[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	s := b.String()
	return s, escape(s) == part
}

func safe(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}
