package hdfs

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
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
			return dir, c.expanded(), nil
		}
	}
	return "", nil, nil
}

type conf struct {
	values hadoopconf.HadoopConf
	final  map[string]bool
}

// property is one in a file, where name, value and final may be attributes as well.
type property struct {
	Name      string  `xml:"name"`
	Value     *string `xml:"value"`
	Final     string  `xml:"final"`
	NameAttr  string  `xml:"name,attr"`
	ValueAttr *string `xml:"value,attr"`
	FinalAttr string  `xml:"final,attr"`
}

// read adds the properties of a file, if it is there.
func (c *conf) read(file string, depth int) (there bool, err error) {
	if depth > maxIncludes {
		return false, fmt.Errorf("%s: included %d times, one by the other", file, depth)
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := c.elements(xml.NewDecoder(f), file, depth); err != nil && !errors.Is(err, io.EOF) {
		return true, fmt.Errorf("%s: %w", file, err)
	}
	return true, nil
}

// elements adds what is in the element that is open, or in the whole file.
func (c *conf) elements(d *xml.Decoder, file string, depth int) error {
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if _, ends := token.(xml.EndElement); ends {
			return nil
		}
		if !ok {
			continue
		}
		switch {
		case start.Name.Local == "property":
			var p property
			if err = d.DecodeElement(&p, &start); err == nil {
				c.set(p)
			}
		case start.Name.Local == "include" && start.Name.Space == includeSpace:
			err = c.include(d, start, file, depth)
		case start.Name.Local == "configuration":
			err = c.elements(d, file, depth)
		default:
			err = d.Skip()
		}
		if err != nil {
			return err
		}
	}
}

// include adds the properties of another file, or those of the fallback if there is no
// such file.
func (c *conf) include(d *xml.Decoder, start xml.StartElement, file string, depth int) error {
	var href string
	for _, a := range start.Attr {
		if a.Name.Local == "href" {
			href = strings.TrimPrefix(strings.TrimSpace(a.Value), "file://")
		}
	}
	if href == "" || strings.Contains(href, "://") {
		return fmt.Errorf("it includes %q, and this program includes no more than files", href)
	}
	if !filepath.IsAbs(href) {
		href = filepath.Join(filepath.Dir(file), href)
	}
	there, err := c.read(href, depth+1)
	if err != nil {
		return err
	}
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.EndElement:
			if !there {
				return fmt.Errorf("it includes %s, which is not there", href)
			}
			return nil
		case xml.StartElement:
			if !there && token.Name.Local == "fallback" {
				there, err = true, c.elements(d, file, depth)
			} else {
				err = d.Skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

func (c *conf) set(p property) {
	name, value := strings.TrimSpace(p.Name+p.NameAttr), p.Value
	if value == nil {
		value = p.ValueAttr
	}
	if name == "" || value == nil || c.final[name] {
		return
	}
	c.values[name] = *value
	if strings.TrimSpace(p.Final+p.FinalAttr) == "true" {
		c.final[name] = true
	}
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
