// Command stack runs a real Kafka, HDFS, Flink and Spark on this machine, for
// development. It is installed as facestream-stack.
//
//	go run ./scripts/stack up
package main

import (
	"facestream/internal/cli"
	"facestream/internal/stack"
)

func main() { cli.Main(stack.Command("facestream-stack")) }
