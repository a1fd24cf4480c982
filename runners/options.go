package runners

import (
	"fmt"
	"maps"

	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// maxMessages are those of a bundle, such as a window of one reader. They wait in a queue of
	// 100 that is emptied when the bundle has ended, so that one of more never ends.
	maxMessages = 64
	// minMessageBytes is Beam's own size of a message.
	minMessageBytes = 1 << 20
	// optionsID is the same for all jobs: JVMs keep the options of each id for ever, and by
	// default draw a new one whenever they read any.
	optionsID = 1
)

// options are a runner's pipeline options by name.
type options map[string]any

func newOptions(c Config) options {
	o := options{"experiments": []any{
		"beam_fn_api",
		fmt.Sprintf("data_buffer_size_limit=%d", max(minMessageBytes, c.MaxBytes/maxMessages)),
	}}
	if c.Parallelism > 0 {
		o["parallelism"] = c.Parallelism
	}
	if c.Name == Flink && c.Cluster() {
		// A job that exchanges records in one go needs all of its slots again
		// when one is lost, and waits for them in vain.
		o["execution_mode_for_batch"] = "BATCH_FORCED"
	}
	for name, value := range c.Options {
		o[name] = value
	}
	return o
}

// proto gives the options the form of the job API.
func (o options) proto(job string) (*structpb.Struct, error) {
	all := map[string]any{"job_name": job, "app_name": job, "options_id": optionsID}
	maps.Copy(all, o)
	fields := make(map[string]any, len(all))
	for name, value := range all {
		fields["beam:option:"+name+":v1"] = value
	}
	return structpb.NewStruct(fields)
}
