// Command bench measures the pipeline.
//
//	go run ./scripts/bench all
package main

import (
	"facestream/internal/bench"
	"facestream/internal/cli"
)

func main() { cli.Main(bench.Command()) }
