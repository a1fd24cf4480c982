package kafkaconf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// setting is one of a file of Java properties.
type setting struct {
	line       int // where it begins
	key, value string
}

const blanks = " \t\f"

var (
	lineEnd  = regexp.MustCompile(`\r\n|\r|\n`)
	keyValue = regexp.MustCompile(`^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)$`)
)

// properties reads a file as java.util.Properties does, with which the workers' JVM reads it.
// No error has a part of the text.
func properties(data []byte) (found []setting, err error) {
	if bytes.HasPrefix(data, []byte("\uFEFF")) || !utf8.Valid(data) {
		return nil, fmt.Errorf("it is no text in UTF-8 without a byte order mark, as Kafka's clients in Java read it: save it so")
	}
	lines := lineEnd.Split(string(data), -1)
	for i := 0; i < len(lines); i++ {
		line, first := strings.TrimLeft(lines[i], blanks), i+1
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for ; continues(line); i++ {
			next := ""
			if i+1 < len(lines) {
				next = strings.TrimLeft(lines[i+1], blanks)
			}
			line = line[:len(line)-1] + next
		}
		m := keyValue.FindStringSubmatch(line)
		key, kerr := unescape(m[1])
		value, verr := unescape(m[2])
		if kerr != nil || verr != nil {
			return nil, fmt.Errorf(`line %d: behind \u must be four hexadecimal digits; a \ itself is written \\`, first)
		}
		found = append(found, setting{first, key, value})
	}
	return found, nil
}

// continues reports whether the next line belongs to this one, too.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// escapes are characters behind a backslash. What several of these give may be one character.
var escapes = regexp.MustCompile(`(?:\\u[0-9A-Fa-f]{4})+|\\.`)

func unescape(text string) (string, error) {
	var err error
	text = escapes.ReplaceAllStringFunc(text, func(e string) string {
		i := strings.IndexByte("tnrf", e[1])
		switch {
		case i >= 0:
			return "\t\n\r\f"[i : i+1]
		case e[1] != 'u':
			return e[1:]
		}
		var out string
		if json.Unmarshal([]byte(`"`+e+`"`), &out) != nil {
			err = strconv.ErrSyntax
		}
		return out
	})
	return text, err
}
