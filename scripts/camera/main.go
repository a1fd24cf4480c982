// Command camera sends videos to a Kafka topic, one record a picture. It is installed
// as facestream-camera.
//
//	go run ./scripts/camera --source=demo --frames=300 --truth=truth.jsonl
package main

import (
	"facestream/internal/camera"
	"facestream/internal/cli"
)

func main() { cli.Main(camera.Command("facestream-camera")) }
