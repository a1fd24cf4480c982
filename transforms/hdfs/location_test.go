package hdfs

import "testing"

func TestParse(t *testing.T) {
	t.Setenv(userEnv, "env-user")
	for name, want := range map[string]location{
		"hdfs://alice@nn:8020/a/b.jpg":  {account{"alice", "nn:8020"}, "/a/b.jpg", "hdfs://alice@nn:8020"},
		"hdfs://nn:8020/a":              {account{"env-user", "nn:8020"}, "/a", "hdfs://nn:8020"},
		"hdfs://@nn:8020/a":             {account{"env-user", "nn:8020"}, "/a", "hdfs://@nn:8020"},
		"hdfs://a@b.c@nn:8020/a":        {account{"a@b.c", "nn:8020"}, "/a", "hdfs://a@b.c@nn:8020"},
		"hdfs://alice@cluster":          {account{"alice", "cluster"}, "/", "hdfs://alice@cluster"},
		"hdfs://alice@nn:1//a/./b/../c": {account{"alice", "nn:1"}, "/a/c", "hdfs://alice@nn:1"},
		"hdfs://alice@nn:1/%2E/a?b#c@d": {account{"alice", "nn:1"}, "/%2E/a?b#c@d", "hdfs://alice@nn:1"},
		"hdfs://alice@nn:1/../../etc":   {account{"alice", "nn:1"}, "/etc", "hdfs://alice@nn:1"},
	} {
		if got, err := parse(name); err != nil || got != want {
			t.Errorf("parse(%q) = %+v, %v, want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "/a", "hdfs:/a", "hdfs://", "hdfs:///a", "hdfs://alice@/a", "memfs://a"} {
		if got, err := parse(name); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", name, got)
		}
	}
}
