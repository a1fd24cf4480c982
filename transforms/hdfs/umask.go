package hdfs

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
)

const (
	umaskKey    = "fs.permissions.umask-mode"
	oldUmaskKey = "dfs.umaskmode"
)

// umaskEnv takes it to the workers, which have no configuration of Hadoop's.
const umaskEnv = "FACESTREAM_HDFS_UMASK"

// Umask is the permission bits that new files and folders do not get.
type Umask fs.FileMode

// DefaultUmask is HDFS's.
const DefaultUmask = Umask(0o022)

func (u Umask) String() string { return fmt.Sprintf("%03o", fs.FileMode(u)) }

func (u Umask) file() fs.FileMode   { return 0o666 &^ fs.FileMode(u) }
func (u Umask) folder() fs.FileMode { return 0o777 &^ fs.FileMode(u) }

var (
	octalUmask    = regexp.MustCompile(`^\+?0*([0-7]{3})$`)
	symbolicUmask = regexp.MustCompile(`^([ugoa]*)([+=-]+)([rwx]*)$`)
)

// ParseUmask reads a umask in the forms that Hadoop takes: octal, such as 027, or the
// permissions that are left, such as u=rwx,g=rx,o=.
func ParseUmask(text string) (Umask, error) {
	text = strings.TrimSpace(text)
	if m := octalUmask.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseUint(m[1], 8, 16)
		return Umask(n), err
	}
	var left [3]uint64 // of user, group and others
	for _, part := range strings.Split(text, ",") {
		m := symbolicUmask.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return 0, fmt.Errorf("%q is no umask: write it in octal, such as 027, or as the permissions that are left, such as u=rwx,g=rx,o=", text)
		}
		var bits uint64
		for i, c := range "xwr" {
			if strings.ContainsRune(m[3], c) && !strings.HasSuffix(m[2], "-") {
				bits |= 1 << i
			}
		}
		for i, c := range "ugo" {
			if strings.ContainsRune(m[1], c) || !strings.ContainsAny(m[1], "ugo") {
				left[i] = bits
			}
		}
	}
	return Umask(^(left[0]<<6 | left[1]<<3 | left[2]) & 0o777), nil
}

// ConfiguredUmask returns that of Hadoop's configuration, or HDFS's own.
func ConfiguredUmask() (Umask, error) {
	conf, err := loadConf()
	if err != nil {
		return 0, err
	}
	text := cmp.Or(conf[umaskKey], conf[oldUmaskKey])
	if text == "" {
		return DefaultUmask, nil
	}
	u, err := ParseUmask(text)
	if err != nil {
		return 0, fmt.Errorf("%s in %s: %w", umaskKey, confPlace(), err)
	}
	return u, nil
}

// SetUmask makes u the umask of this process and of its children.
func SetUmask(u Umask) error { return os.Setenv(umaskEnv, u.String()) }

// umask returns what SetUmask has set, here or where a job was submitted, or else the
// configured one.
func umask() (Umask, error) {
	if text := os.Getenv(umaskEnv); text != "" {
		return ParseUmask(text)
	}
	return ConfiguredUmask()
}
