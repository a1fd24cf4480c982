// Command soak runs the pipeline on Prism and on a Flink cluster at the same time
// while one part after another is killed or stopped, and looks at the end whether
// everything is where it should be.
//
//	go run ./scripts/soak --duration=20m
package main

import (
	"facestream/internal/chaos"
	"facestream/internal/cli"
)

func main() { cli.Main(chaos.Command()) }
