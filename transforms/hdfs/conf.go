package hdfs

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/colinmarc/hdfs/v2/hadoopconf"
)

const (
	// maxIncludes is how deep files may include others, and maxExpansions how often a
	// value is expanded. The second one is Hadoop's.
	maxIncludes, maxExpansions = 20, 20

	includeSpace = "http://www.w3.org/2001/XInclude"
)

// loadConf reads Hadoop's configuration from $HADOOP_CONF_DIR, or below $HADOOP_HOME, as
// Hadoop does: files that a file includes, properties that are final, and ${...} in
// values. Without any it is empty. The library's own reading knows none of these.
func loadConf() (hadoopconf.HadoopConf, error) {
	_, conf, err := loadFiles("core-site.xml", "hdfs-site.xml")
	return conf, err
}

// YARNSettings returns the settings of Hadoop's YARN as loadConf does, and the folder with
// them.
func YARNSettings() (dir string, settings map[string]string, err error) {
	if dir, settings, err = loadFiles("core-site.xml", "yarn-site.xml"); err == nil && dir == "" {
		err = fmt.Errorf("there is no yarn-site.xml in %s: set %s to the folder with it", confPlace(), confEnv)
	}
	return dir, settings, err
}

// loadFiles reads files of the first folder that has one of them.
func loadFiles(names ...string) (string, hadoopconf.HadoopConf, error) {
	dirs := []string{os.Getenv(confEnv)}
	if home := os.Getenv("HADOOP_HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, "etc", "hadoop"), filepath.Join(home, "conf"))
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		c := conf{values: hadoopconf.HadoopConf{}, final: map[string]bool{}}
		found := false
		for _, name := range names {
			there, err := c.read(filepath.Join(dir, name), 0)
			if err != nil {
				return "", nil, fmt.Errorf("reading the Hadoop configuration: %w", err)
			}
			found = found || there
		}
		if found {
			dir, err := filepath.Abs(dir) // other programs start elsewhere
			return dir, c.expanded(), err
		}
	}
	return "", nil, nil
}

type conf struct {
	values hadoopconf.HadoopConf
	final  map[string]bool
}

// element is one of a file.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Elements []element  `xml:",any"`
}

// value returns what an element says under a name: in one below it, or as an attribute.
func (e element) value(name string) (string, bool) {
	for _, below := range slices.Backward(e.Elements) {
		if below.XMLName.Local == name {
			return below.Text, true
		}
	}
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// read adds the properties of a file, if it is there.
func (c *conf) read(file string, depth int) (there bool, err error) {
	if depth > maxIncludes {
		return false, fmt.Errorf("%s: included %d times, one by the other", file, depth)
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var top element
	if err = xml.Unmarshal(data, &top); err == nil {
		err = c.add([]element{top}, file, depth)
	}
	if err != nil && !errors.Is(err, io.EOF) { // which is an empty file
		return true, fmt.Errorf("%s: %w", file, err)
	}
	return true, nil
}

// add adds the properties of elements of a file.
func (c *conf) add(elements []element, file string, depth int) (err error) {
	for _, e := range elements {
		switch name := e.XMLName.Local; {
		case name == "property":
			c.set(e)
		case name == "configuration":
			err = c.add(e.Elements, file, depth)
		case name == "include" && e.XMLName.Space == includeSpace:
			err = c.include(e, file, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// include adds the properties of another file, or those of the fallback if there is no
// such file.
func (c *conf) include(e element, file string, depth int) error {
	href, _ := e.value("href")
	href = strings.TrimPrefix(strings.TrimSpace(href), "file://")
	if href == "" || strings.Contains(href, "://") {
		return fmt.Errorf("it includes %q, and this program includes no more than files", href)
	}
	if !filepath.IsAbs(href) {
		href = filepath.Join(filepath.Dir(file), href)
	}
	there, err := c.read(href, depth+1)
	if there || err != nil {
		return err
	}
	i := slices.IndexFunc(e.Elements, func(below element) bool { return below.XMLName.Local == "fallback" })
	if i < 0 {
		return fmt.Errorf("it includes %s, which is not there", href)
	}
	return c.add(e.Elements[i].Elements, file, depth)
}

func (c *conf) set(property element) {
	name, _ := property.value("name")
	value, has := property.value("value")
	final, _ := property.value("final")
	if name = strings.TrimSpace(name); name == "" || !has || c.final[name] {
		return
	}
	c.values[name], c.final[name] = value, strings.TrimSpace(final) == "true"
}

// variable is ${name}, and in Hadoop's words ${env.NAME}, ${env.NAME-default} or
// ${env.NAME:-default}.
var variable = regexp.MustCompile(`\$\{([^}$\s]+)\}`)

// expanded returns the values with what their variables stand for. An unknown one stays
// as it is, and so does a value that refers to itself.
func (c *conf) expanded() hadoopconf.HadoopConf {
	out := hadoopconf.HadoopConf{}
	for name, value := range c.values {
		for range maxExpansions {
			next := variable.ReplaceAllStringFunc(value, func(v string) string {
				if text, ok := c.lookup(v[2 : len(v)-1]); ok {
					return text
				}
				return v
			})
			if next == value {
				break
			}
			value = next
		}
		out[name] = value
	}
	return out
}

func (c *conf) lookup(name string) (string, bool) {
	if env, ok := strings.CutPrefix(name, "env."); ok {
		env, fallback, has := strings.Cut(env, "-")
		env, ifEmpty := strings.CutSuffix(env, ":")
		value, set := os.LookupEnv(env)
		if has && (!set || ifEmpty && value == "") {
			return fallback, true
		}
		return value, set
	}
	if me, err := user.Current(); err == nil { // properties of Java that people use
		switch name {
		case "user.name":
			return me.Username, true
		case "user.home":
			return me.HomeDir, true
		}
	}
	value, ok := c.values[name]
	return value, ok
}

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
