// Command soak runs the pipeline on Prism and on a Flink cluster at the same time
// while one part after another is killed or stopped, and checks at the end that
// every record is accounted for.
//
//	go run ./scripts/soak --duration=20m
package main

import (
	"facestream/internal/chaos"
	"facestream/internal/cli"
)

func main() { cli.Main(chaos.Command()) }
