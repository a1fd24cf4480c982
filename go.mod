module facestream

go 1.26.0

require (
	github.com/apache/beam/sdks/v2 v2.77.0
	github.com/colinmarc/hdfs/v2 v2.4.0
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kadm v1.19.0
	gocv.io/x/gocv v0.31.0
)
