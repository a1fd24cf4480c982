package verify

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"facestream/internal/audit"
	"facestream/internal/config"
	"facestream/internal/record"
	"facestream/internal/testkit"
)

func testReport() audit.Report {
	committed := int64(19)
	return audit.Report{
		Agrees: true, Ledgers: 2, OtherTopics: []audit.OtherTopic{}, Problems: []audit.Problem{},
		Partitions: []audit.Partition{
			{
				TopicPartition: record.In("t", 0), LogStart: 2, LogEnd: 23, Committed: &committed,
				Covered: testkit.Ranges(2, 8, 10, 18), Records: 16,
				Lost: testkit.Ranges(0, 1), Gaps: []record.Range{}, Waiting: 4, Purged: 3,
				Pictures: audit.Files{Expected: 12, Present: 12}, Rejects: audit.Files{Expected: 2, Present: 2},
			},
			{TopicPartition: record.In("t", 1), Covered: []record.Range{}, Lost: []record.Range{}, Gaps: []record.Range{}},
		},
	}
}

func TestPrintTable(t *testing.T) {
	problems := testReport()
	problems.Ledgers = 1
	problems.Temporary = audit.Temporary{Files: 1, Old: 1}
	problems.OtherTopics = []audit.OtherTopic{{Topic: "u", Files: 7}}
	problems.Recheck = &audit.Recheck{Records: 5, Differ: 1, Mixed: 2, Gone: 3}
	problems.Partitions = problems.Partitions[:1]
	p := &problems.Partitions[0]
	p.Gaps = testkit.Ranges(9, 9)
	p.Pictures = audit.Files{Expected: 12, Present: 11, Missing: 1, Unknown: 2, Pending: 3}
	problems.LeftOut = 3
	for i := range maxLines + 2 {
		problems.Add(audit.Problem{Kind: audit.Gap, Text: fmt.Sprint("gap ", i)})
	}
	for _, test := range []struct {
		report audit.Report
		want   string
	}{
		{testReport(), `
topic  partition  in Kafka  committed  in ledgers        records  lost  gaps  waiting  purged  pictures  rejects
t      0          2-22      19         2-18 in 2 ranges  16       2     0     4        3       12 of 12  2 of 2
t      1          none      none       none              0        0     0     0        0       0 of 0    0 of 0
2 ledgers, 0 temporary files
all agrees
`},
		{problems, `
topic  partition  in Kafka  committed  in ledgers        records  lost  gaps  waiting  purged  pictures                        rejects
t      0          2-22      19         2-18 in 2 ranges  16       2     1     4        3       11 of 12, 2 unknown, 3 pending  2 of 2
1 ledger, 1 temporary file (1 old), 5 records rechecked (1 differ), 2 of them in ledgers with different settings, 3 no longer in Kafka
not looked at: topic u, 7 files
` + gapLines(maxLines) + `- and 5 more (--json lists 22)
25 problems
`},
	} {
		var out strings.Builder
		testkit.Must(t, printTable(&out, test.report))
		testkit.Equal(t, "the table", "\n"+out.String(), test.want)
	}
}

func gapLines(n int) (lines string) {
	for i := range n {
		lines += fmt.Sprintf("- gap %d\n", i)
	}
	return lines
}

func TestPrintJSON(t *testing.T) {
	var out strings.Builder
	testkit.Must(t, printJSON(&out, options{Endpoints: config.Endpoints{Kafka: "a:1", Output: "hdfs://u@h:1/x", Group: "g"}}, testReport()))
	var compact struct {
		Kafka, Output, Group string
		Agrees               bool
		Partitions           []json.RawMessage
		Problems             []json.RawMessage
	}
	testkit.Must(t, json.Unmarshal([]byte(out.String()), &compact))
	if compact.Kafka != "a:1" || compact.Output != "hdfs://u@h:1/x" || compact.Group != "g" || !compact.Agrees || len(compact.Partitions) != 2 || compact.Problems == nil {
		t.Errorf("got %s", &out)
	}
	if strings.Contains(strings.Replace(out.String(), `"recheck": null`, "", 1), "null,\n      \"covered") != true || strings.Contains(out.String(), `s": null`) {
		t.Errorf("only committed and recheck may be null: %s", &out)
	}
}
