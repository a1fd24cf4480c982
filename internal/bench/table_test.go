package bench

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"facestream/internal/testkit"
)

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

type thing struct {
	Name string             `json:"name" col:"name"`
	Rate float64            `json:"rate" col:"rate"`
	Part *float64           `json:"part" col:"part"`
	Use  map[string]float64 `json:"use" col:"use"`
}

var things = []thing{
	{"one", 1234.5, new(0.996), map[string]float64{"b": 2.5, "a": 2.5, "c": 15, "d": 0.001}},
	{"three", 9.999, nil, nil},
}

func TestTables(t *testing.T) {
	tables := []table{{"all", things, nil}, {"some", things, []string{"name", "part"}}}
	var text, encoded bytes.Buffer
	want := `all:

| name  | rate | part | use                    |
|---    |---   |---   |---                     |
| one   | 1234 | 1.00 | c 15.0, a 2.50, b 2.50 |
| three | 10.0 | -    |                        |

some:

| name  | part |
|---    |---   |
| one   | 1.00 |
| three | -    |

`
	if err := printTables(&text, tables); err != nil || text.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, &text, want)
	}
	var got struct{ Rows []thing }
	testkit.Must(t, printJSON(&encoded, tables))
	if err := json.Unmarshal(encoded.Bytes(), &got); err != nil || !equal(got.Rows, things) {
		t.Errorf("%v, got %+v of %s", err, got.Rows, &encoded)
	}
}

// Each command replaces its own section only.
func TestWriteSection(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	write := func(name, text string) {
		t.Helper()
		testkit.Must(t, writeSection(page, name, text))
	}
	write("all", "old\n")
	testkit.WriteFile(t, page, append([]byte("# Title\n\n"), testkit.ReadFile(t, page)...))
	write("data", "data\n")
	write("all", "new\nlines\n")
	want := "# Title\n\n<!-- bench all: begin -->\nnew\nlines\n<!-- bench all: end -->\n\n<!-- bench data: begin -->\ndata\n<!-- bench data: end -->\n"
	testkit.Equal(t, "the page", string(testkit.ReadFile(t, page)), want)
	testkit.WriteFile(t, page, []byte("<!-- bench all: begin -->\nby hand\n"))
	if err := writeSection(page, "all", "x"); err == nil || string(testkit.ReadFile(t, page)) != "<!-- bench all: begin -->\nby hand\n" {
		t.Errorf("a section without an end was replaced (%v)", err)
	}
}
