package runners

import (
	"testing"

	"facestream/internal/testkit"
)

// JVMs keep the options of each id for ever: with 40 windows, a job server for
// Flink kept 8 MB more, and nothing with one id.
func TestJobsShareOptionsID(t *testing.T) {
	o := newOptions(Config{Name: Flink, MaxBytes: 1 << 20})
	ids := map[float64]bool{}
	for _, job := range []string{"one", "two"} {
		got, err := o.proto(job)
		testkit.Must(t, err)
		if name := got.Fields["beam:option:job_name:v1"].GetStringValue(); name != job {
			t.Errorf("the job's name is %q, want %q", name, job)
		}
		ids[got.Fields["beam:option:options_id:v1"].GetNumberValue()] = true
	}
	if len(ids) != 1 || ids[0] { // 0 if it is missing
		t.Errorf("ids %v, want one", ids)
	}
}
