package kafkaconf

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// javaProperties prints what Kafka's clients in Java find in a file.
const javaProperties = `
public class Main {
    public static void main(String[] args) throws Exception {
        for (String file : args) {
            var found = new java.util.Properties();
            try (var in = java.nio.file.Files.newBufferedReader(java.nio.file.Path.of(file))) {
                found.load(in);
                System.out.println(new java.util.TreeMap<>(found).toString().replace('\n', '~').replace('\r', '^'));
            } catch (Exception e) {
                System.out.println("refused");
            }
        }
    }
}`

// Odd files are read as Java reads them.
func TestProperties(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", filepath.Join(dir, "Main.java")}
	testkit.WriteFile(t, args[2], []byte(javaProperties))
	var want []string
	for i, text := range []string{
		"a=1\r\nb=2\r", "a=1,\\\n \t 2\nb=3", "a=1,\\\r\n  2\r\nb=3", "a=1\\", "a=1\\\n", "a=1\\\n\nb=2", "a=1\\\n# x\nb=2", "a=1\\\\\nb=2", "a\\\n b=1",
		"a=\\u00e4\\ud83d\\ude00x\\u0041", "a=\\u00g4", "a=\\u00", "\\u00=1", "a:1\nb : 2\nc 3\nd\t4\n \fe\f=5", "a=1 \t", "# x\n ! y\na=1#2\n\n \nb", "a=1\na=2", "", "\n",
		"a=p\xe4ss", "a=p\u00e4\u20ac\U0001F600\u2028\u0085\u00a0", "a=b\\=c\\:d\\#e\\ f\\qg\\\\h\\t\\n\\r", "a\\ b=1\nc\\:d=2\ne\\=f=3", "a=${b}${c:d:e}\"$", "=1\n:2", "a==1\nb=:2\nc : = 4", "a=\x00b",
	} {
		file := filepath.Join(dir, fmt.Sprint(i))
		testkit.WriteFile(t, file, []byte(text))
		args = append(args, file)
		line := "refused"
		if found, err := properties([]byte(text)); err == nil {
			values := map[string]string{}
			for _, s := range found {
				values[s.key] = s.value
			}
			line = "{"
			for _, key := range slices.Sorted(maps.Keys(values)) {
				line += fmt.Sprintf("%s=%s, ", key, values[key])
			}
			line = strings.NewReplacer("\n", "~", "\r", "^").Replace(strings.TrimSuffix(line, ", ") + "}")
		}
		want = append(want, line)
	}
	out, err := exec.Command("java", args...).CombinedOutput()
	testkit.Must(t, err)
	for i, got := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		if got != want[i] {
			t.Errorf("file %d is %q, and %q in Java", i, want[i], got)
		}
	}
}
