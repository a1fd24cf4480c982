package hdfs

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/testkit"
)

// writeConf writes files below a folder that becomes that of Hadoop's configuration.
func writeConf(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(confEnv, dir)
	t.Setenv("HADOOP_HOME", "")
	for name, text := range files {
		testkit.WriteFile(t, filepath.Join(dir, name), []byte(`<?xml version="1.0"?><configuration xmlns:xi="http://www.w3.org/2001/XInclude">`+text+"</configuration>"))
	}
}

// configure is writeConf with one file.
func configure(t *testing.T, settings map[string]string) {
	t.Helper()
	text := ""
	for name, value := range settings {
		text += propertyOf(name, value)
	}
	writeConf(t, map[string]string{"hdfs-site.xml": text})
}

func propertyOf(name, value string) string {
	return "<property><name>" + name + "</name><value>" + value + "</value></property>"
}

// Files are read as Hadoop's class Configuration reads them.
func TestConfiguration(t *testing.T) {
	t.Setenv("CONF_TEST", "from-env")
	writeConf(t, map[string]string{
		"core-site.xml": propertyOf("a", "core") + propertyOf("b", "core") +
			"<property><name> final </name><value>first</value><final>true</final></property>" +
			`<property name="attr" value="yes"/>` + propertyOf("empty", "") + "<property><name>none</name></property><other>x</other>" +
			`<xi:include href="more/included.xml"/><xi:include href="none.xml"><xi:fallback>` + propertyOf("fallback", "taken") + "</xi:fallback></xi:include>",
		"hdfs-site.xml": propertyOf("b", "hdfs") + propertyOf("final", "second") +
			propertyOf("vars", "${a}-${nested}-${env.CONF_TEST}-${env.CONF_NONE-no}-${env.CONF_NONE:-none}-${unknown}") + propertyOf("nested", "${b}") +
			propertyOf("loop", "${loop}"),
		"more/included.xml": propertyOf("included", "${a}") + propertyOf("a", "included") + `<xi:include href="second.xml"><xi:fallback>` + propertyOf("second", "no") + "</xi:fallback></xi:include>",
		"more/second.xml":   propertyOf("second", "yes"),
	})
	got, err := loadConf()
	want := map[string]string{
		"a": "included", "b": "hdfs", "final": "first", "attr": "yes", "empty": "", "fallback": "taken", "second": "yes", "included": "included",
		"vars": "included-hdfs-from-env-no-none-${unknown}", "nested": "hdfs", "loop": "${loop}",
	}
	testkit.Must(t, err)
	testkit.Equal(t, "the configuration", map[string]string(got), want)
	for text, says := range map[string]string{
		`<xi:include href="none.xml"/>`:       "none.xml, which is not there",
		`<xi:include href="http://h/c.xml"/>`: "includes no more than files",
		`<xi:include href="core-site.xml"/>`:  "one by the other",
		"<property>":                          "core-site.xml: XML syntax error",
	} {
		writeConf(t, map[string]string{"core-site.xml": text})
		_, err := loadConf()
		testkit.Says(t, text, err, says)
	}
	// Such a configuration is followed to the NameNode.
	writeConf(t, map[string]string{
		"core-site.xml": propertyOf("fs.defaultFS", "hdfs://${host}:${env.CONF_PORT:-9000}") + `<xi:include href="host.xml"/>`, "host.xml": propertyOf("host", "nn"),
	})
	testkit.Gives(Resolve("hdfs:///faces"))(t, "hdfs:///faces", "hdfs://nn:9000/faces")
	// A job server of Spark, which starts in another folder, finds it, too.
	folder := os.Getenv(confEnv)
	t.Chdir(filepath.Dir(folder))
	t.Setenv(confEnv, filepath.Base(folder))
	dir, _, err := YARNSettings()
	testkit.Must(t, err)
	testkit.Equal(t, "the folder", dir, folder)
}

// The forms that Hadoop's class UmaskParser takes.
func TestParseUmask(t *testing.T) {
	for text, want := range map[string]Umask{
		"022": 0o022, " 0077\n": 0o077, "+027": 0o027, "000": 0, "777": 0o777,
		"u=rwx,g=rx,o=": 0o027, "a=rwx": 0, "u=rwx,go=": 0o077, "ug+rw, o-rwx": 0o117, "u=rw": 0o177, "=r": 0o333,
	} {
		testkit.Gives(ParseUmask(text))(t, text, want)
	}
	for _, text := range []string{"", "22", "1022", "088", "u=rwx,", "u=rwX", "rwxr-x---"} {
		_, err := ParseUmask(text)
		testkit.Says(t, text, err, "is no umask")
	}
}

// New files and folders have the modes of HDFS's umask, of the configured one, or of
// that which was set where the job was submitted.
func TestModes(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	for _, test := range []struct {
		configured, set string
		folder, file    fs.FileMode
	}{
		{"", "", 0o755, 0o644},
		{"077", "", 0o700, 0o600},
		{"u=rwx,g=rx,o=", "", 0o750, 0o640},
		{"077", "027", 0o750, 0o640},
	} {
		t.Run(test.configured+" "+test.set, func(t *testing.T) {
			conf := ""
			if test.configured != "" {
				conf = propertyOf(umaskKey, test.configured)
			}
			writeConf(t, map[string]string{"core-site.xml": conf})
			t.Setenv(umaskEnv, test.set)
			f := ownClients(time.Minute, time.Minute)
			dir := folder(t, f, address) + "/new"
			testkit.Must(t, f.MkdirAll(ctx, dir))
			testkit.Must(t, filesystem.Write(ctx, f, dir+"/a", []byte("x")))
			testkit.Must(t, f.Rename(ctx, dir+"/a", dir+"/b"))
			for name, want := range map[string]fs.FileMode{dir: test.folder, dir + "/b": test.file} {
				if info, err := f.stat(ctx, name); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s has mode %v (%v), want %v", name, info.Mode().Perm(), err, want)
				}
			}
		})
	}
	writeConf(t, map[string]string{"core-site.xml": propertyOf(umaskKey, "rwx")})
	t.Setenv(umaskEnv, "")
	testkit.Says(t, "a wrong umask", ownClients(time.Second, time.Hour).MkdirAll(ctx, "hdfs://alice@"+address+"/x"), umaskKey)
}
