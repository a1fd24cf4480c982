# What can be done here. "make" alone lists it.

staticcheck := honnef.co/go/tools/cmd/staticcheck@v0.8.1

demo_frames := 300

# Without a version stamp: go refuses to make one in a checkout that belongs to
# another user.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# The packages that make Mats. With the tag matprofile their tests count those that
# nobody closes.
profiled := facestream/transforms/face facestream/scripts/camera/video

# $(call packages,-v) lists the packages without OpenCV, $(call packages,) those with.
packages = $(shell go list -f '{{.ImportPath}} {{join .Deps " "}}' ./... | grep $(1) gocv.io/x/gocv | cut -d ' ' -f 1)

.PHONY: help setup build demo up up-clusters down test test-faults test-rest test-short soak bench lint clean

help: ## List what make can do.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## Install what is missing on this machine (Debian 12, as root).
	@scripts/setup.sh

build: setup ## Compile the programs into build/bin.
	@echo "compiling (some minutes the first time)"
	go build -o build/bin/ ./pipeline ./scripts/camera ./scripts/stack ./scripts/verify

up: build ## Start Kafka and HDFS on this machine.
	build/bin/stack up

up-clusters: build ## Start Kafka, HDFS, and clusters of Flink and Spark on this machine.
	build/bin/stack up kafka hdfs flink spark

down: ## End whatever up has started, and remove what it stored.
	go run ./scripts/stack down

demo: up ## Play a video with faces into Kafka, find them, and store the pictures in HDFS.
	build/bin/camera --source=demo --frames=$(demo_frames) --topic=frames
	build/bin/pipeline --runner=prism --topics=frames --drain
	@build/bin/stack env | sed -n "s|^HDFS_WEB=\(.*\)|to look at them: \1/explorer.html#/user/$$(id -un)/faces (make down ends the services)|p"

# Two halves side by side: tests of faults wait more than they work. The SDK
# leaves empty files in TMPDIR when tests run pipelines through it.
test: setup ## Run every test, with real services; without OpenCV also look for data races.
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && TMPDIR="$$tmp" $(MAKE) --no-print-directory -j2 test-faults test-rest

test-faults:
	go test -count=1 -timeout 40m ./pipeline/faults

test-rest:
	go test -count=1 -race -timeout 30m $(filter-out %/pipeline/faults,$(call packages,-v))
	go test -count=1 -timeout 30m $(filter-out $(profiled),$(call packages,))
	go test -count=1 -tags matprofile -timeout 30m $(profiled)

test-short: setup ## Run the tests that need no services.
	go test -short ./...

soak: setup ## For 20 minutes, kill one part after another, and look whether all is where it should be.
	go run ./scripts/soak --duration=20m

bench: setup ## Measure every runner against what this machine can do at best, in 20 minutes.
	go run ./scripts/bench all

lint: setup ## Look for what is badly formatted or suspicious.
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	go vet ./...
	go run $(staticcheck) ./...
	go mod tidy -diff

clean: ## End the services, and remove everything made here.
	[ ! -d build/stack ] || go run ./scripts/stack down
	rm -rf build
