// Command verify is "facestream verify" as a program of its own.
//
//	go run ./scripts/verify --topics=frames --recheck=100
package main

import (
	"facestream/internal/audit/verify"
	"facestream/internal/cli"
)

func main() { cli.Main(verify.Command("verify")) }
