package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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
)

// The hours that four digits hold. Kafka's "no timestamp" is -1.
var (
	firstHour = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastHour  = time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)
)

// Name is what the name of a picture says. Camera and topic are any text from
// outside, partition and offset are not negative.
type Name struct {
	record.ID
	Camera          string
	TimestampMillis int64 // of the record, since 1970
}

// Path returns the picture's place below the root:
//
//	<camera>/<yyyy>/<mm>/<dd>/<hh>/<topic>+<partition>+<offset, 20 digits>.jpg
//
// The hour is in UTC; a time before 1970 or after 9999 gives the first or the
// last hour of these. In camera and topic everything but A-Z a-z 0-9 . _ - is
// escaped as %XX, byte for byte, and so is a leading dot or underscore: folders
// such as _tmp are ours, and Hadoop's tools hide both. What is still longer
// than maxPart is cut and gets a hash, so that two cameras never share a folder.
func (n Name) Path() string { return n.base() + pictureExtension }

// AnnotatedPath is Path for the picture with the faces drawn in, with the
// extension .annotated.jpg.
func (n Name) AnnotatedPath() string { return n.base() + annotatedExtension }

// FacePath is Path for the picture of one face, with the extension
// .face-<number>.jpg. Numbers begin with 1.
func (n Name) FacePath(number int) string {
	return n.base() + faceMark + strconv.Itoa(number) + pictureExtension
}

// base is the path without an extension.
func (n Name) base() string {
	hour := time.UnixMilli(n.TimestampMillis).UTC()
	if hour.Before(firstHour) {
		hour = firstHour
	} else if hour.After(lastHour) {
		hour = lastHour
	}
	return escape(n.Camera) + "/" + hour.Format(hourLayout) + "/" + recordName(n.ID)
}

// RejectPath returns the place below the root of the file about a rejected
// record:
//
//	_rejects/<topic>+<partition>+<offset, 20 digits>.json
//
// The topic is escaped as in Path.
func RejectPath(id record.ID) string {
	return rejectFolder + "/" + recordName(id) + rejectExtension
}

// KeptPath is RejectPath for the kept bytes of the record's value, with the
// extension .bin.
func KeptPath(id record.ID) string {
	return rejectFolder + "/" + recordName(id) + keptExtension
}

// recordName is a record's identity in a file name.
func recordName(id record.ID) string {
	return fmt.Sprintf("%s+%d+%020d", escape(id.Topic), id.Partition, id.Offset)
}

// ParsePath is the way back from Path, AnnotatedPath and FacePath: path is
// relative to the root, and kind says which of them. The time is that of the hour.
// A camera or topic that was cut comes back as it stands in the path, and an empty
// one as "unknown". A path that none of them gives is an error.
func ParsePath(path string) (n Name, kind Kind, err error) {
	wrong := func(what string) (Name, Kind, error) {
		return Name{}, KindUnknown, fmt.Errorf("parsing picture path %q: %s", path, what)
	}
	parts := strings.Split(path, "/")
	if len(parts) != 6 {
		return wrong("not of the form camera/yyyy/mm/dd/hh/topic+partition+offset.jpg")
	}
	hour, err := time.Parse(hourLayout, strings.Join(parts[1:5], "/"))
	if err != nil {
		return wrong(err.Error())
	}
	base, kind := cutExtension(parts[5])
	if kind == KindUnknown {
		return wrong("the file is not named topic+partition+offset.jpg")
	}
	if n, err = parseRecordName(base); err != nil {
		return wrong(err.Error())
	}
	var ok bool
	if n.Camera, ok = unescape(parts[0]); !ok {
		return wrong("malformed camera")
	}
	if hour.Before(firstHour) {
		return wrong("the year is before 1970")
	}
	n.TimestampMillis = hour.UnixMilli()
	return n, kind, nil
}

// cutExtension says of what kind a picture's file is.
func cutExtension(file string) (base string, kind Kind) {
	if base, ok := strings.CutSuffix(file, annotatedExtension); ok {
		return base, KindAnnotated
	}
	base, ok := strings.CutSuffix(file, pictureExtension)
	if !ok {
		return "", KindUnknown
	}
	// A topic may hold the mark, what follows it in a picture's name is a number.
	if i := strings.LastIndex(base, faceMark); i > strings.LastIndex(base, "+") {
		digits := base[i+len(faceMark):]
		if number, err := strconv.ParseUint(digits, 10, 31); err != nil || number == 0 || strconv.FormatUint(number, 10) != digits {
			return "", KindUnknown
		}
		return base[:i], KindFace
	}
	return base, KindPicture
}

// ParseRejectPath is the way back from RejectPath, and from KeptPath if kept is
// set: path is relative to the root. The Name has neither camera nor time.
func ParseRejectPath(path string) (n Name, kept bool, err error) {
	base, ok := strings.CutPrefix(path, rejectFolder+"/")
	if ok {
		if base, kept = strings.CutSuffix(base, keptExtension); !kept {
			base, ok = strings.CutSuffix(base, rejectExtension)
		}
	}
	if !ok {
		return Name{}, false, fmt.Errorf("parsing reject path %q: not of the form %s/topic+partition+offset.json", path, rejectFolder)
	}
	if n, err = parseRecordName(base); err != nil {
		return Name{}, false, fmt.Errorf("parsing reject path %q: %w", path, err)
	}
	return n, kept, nil
}

// parseRecordName is the way back from recordName.
func parseRecordName(base string) (Name, error) {
	fields := strings.Split(base, "+")
	if len(fields) != 3 {
		return Name{}, errors.New("the file is not named topic+partition+offset")
	}
	var n Name
	var ok bool
	if n.Topic, ok = unescape(fields[0]); !ok {
		return Name{}, errors.New("malformed topic")
	}
	partition, err := strconv.ParseUint(fields[1], 10, 31)
	if err != nil || strconv.FormatUint(partition, 10) != fields[1] {
		return Name{}, errors.New("malformed partition")
	}
	offset, err := strconv.ParseUint(fields[2], 10, 63)
	if err != nil || len(fields[2]) != 20 {
		return Name{}, errors.New("malformed offset")
	}
	n.Partition, n.Offset = int32(partition), int64(offset)
	return n, nil
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

// cut shortens the escaped text of s and adds a hash of s.
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
