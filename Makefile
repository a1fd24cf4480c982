# What can be done here. "make" alone lists it.

demo_frames := 300
PREFIX := /opt/facestream
staticcheck := build/tools/staticcheck-v0.8.1

# Four jobs at a time, which wait more than they work, unless the make around this one
# has told how many.
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j4)

# What "make install" installs. Without flink and spark the Java parts take 270 MB
# instead of 800.
java_parts := beam kafka hadoop flink spark
java_folders = $(foreach p,$(java_parts),java/$(if $(filter flink spark yarn,$(p)),gradle/wrapper/)$(p))
cascades = $(firstword $(wildcard /usr/share/opencv4/haarcascades /usr/local/share/opencv4/haarcascades))
prefix = $(DESTDIR)$(abspath $(PREFIX))
lib = $(prefix)/lib/facestream
doc = $(prefix)/share/doc/facestream

version := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' internal/cli/version.go)
arch = $(shell go env GOARCH)
dist := build/dist

# Go itself refuses to stamp a checkout that belongs to another user.
export GOFLAGS := $(GOFLAGS) -buildvcs=false
commit := $(shell git -c safe.directory='*' describe --always --dirty --exclude='*' --abbrev=12 2>/dev/null)
ldflags := -s -w -X facestream/internal/cli.commit=$(commit)

# Tests of these look for data races: they have goroutines that share memory. Where that
# makes them take several times as long, they do so in make test-all.
raced := internal/notify internal/proc internal/stack/services/proxy runners/javaharness transforms/hdfs transforms/kafka transforms/parallel
ifdef FACESTREAM_ALL_FAULTS
raced += internal/camera/feed internal/view transforms/store
endif
raced := $(addprefix facestream/,$(raced))
# Some tests of this need runners, and are without the race detector: compiling it all for that
# takes a minute.
both := facestream/transforms/kafka
# Tests of these count Mats that nobody closes, with the tag matprofile.
profiled := $(addprefix facestream/,internal/camera/video transforms/face)
faults := facestream/internal/chaos
# Tests of these take turns on the clusters, and wait more than they work.
clusters := $(addprefix facestream/,pipeline runners)
other = $(both) $(filter-out $(raced) $(profiled) $(faults) $(clusters),$(shell go list ./...))

.PHONY: help setup build programs demo up up-clusters down install dist image models test test-all test-short \
	test-services test-clusters test-raced test-profiled test-other test-faults soak bench lint clean

help: ## List what make can do.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## Install what is missing on this machine (Debian 12, as root).
	@scripts/setup.sh

build: setup ## Compile the programs into build/bin.
	@$(MAKE) --no-print-directory programs

# Packages whose tests need the programs ask for them at the same time.
programs:
	@mkdir -p build
	flock build go build -ldflags '$(ldflags)' -o build/bin/ ./pipeline ./scripts/camera ./scripts/stack

up: build ## Start Kafka and HDFS on this machine.
	build/bin/stack up

up-clusters: build ## Start Kafka, HDFS, and clusters of Flink and Spark on this machine.
	build/bin/stack up kafka hdfs flink spark

down: ## End whatever up has started, and remove what it stored.
	go run ./scripts/stack down

demo: up ## Play a video with faces into Kafka, find them, and store the pictures in HDFS.
	build/bin/camera --source=demo --frames=$(demo_frames) --topic=frames
	build/bin/pipeline --runner=prism --topics=frames --drain
	@build/bin/stack view

install: build ## Install the programs, Java parts, cascades and docs below PREFIX, by default /opt/facestream.
	@scripts/setup.sh java $(java_parts)
	rm -rf '$(lib).new' '$(doc)'
	mkdir -p '$(prefix)/bin' '$(lib).new/cascades' '$(doc)'
	cp -R $(cascades) '$(lib).new/cascades/'
	cd build && cp -R --parents $(java_folders) $(patsubst build/%,%,$(wildcard build/models)) '$(lib).new/'
	rm -rf '$(lib)'
	mv '$(lib).new' '$(lib)'
	cp -R *.md LICENSE NOTICE docs '$(doc)/'
	install build/bin/pipeline '$(prefix)/bin/facestream'
	install build/bin/camera '$(prefix)/bin/facestream-camera'
	install build/bin/stack '$(prefix)/bin/facestream-stack'

# What is made has the commit's time, and no folder of this machine in its programs. The
# Debian package takes the cascades of Debian's opencv-data. With compression=1, which tests
# give, both are larger, and made in a fraction of the time.
dist: export GOFLAGS += -trimpath
dist: export SOURCE_DATE_EPOCH ?= $(shell git -c safe.directory='*' log -1 --format=%ct)
dist: ## Make a tar.gz of what install installs, and a package for Debian 12, in build/dist.
	rm -rf '$(dist)'
	@$(MAKE) --no-print-directory install DESTDIR='$(abspath $(dist))/root' PREFIX=/usr
	tar -C '$(dist)/root/usr' --transform='s,^\.,facestream-$(version)-linux-$(arch),' --sort=name --mtime=@$$SOURCE_DATE_EPOCH \
		--owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -c . | gzip -n $(addprefix -,$(compression)) >'$(dist)/facestream-$(version)-linux-$(arch).tar.gz'
	rm -r '$(dist)/root/usr/lib/facestream/cascades'
	cp -R deploy/debian/. '$(dist)/root/'
	sed -i 's/VERSION/$(version)/; s/ARCH/$(arch)/' '$(dist)/root/DEBIAN/control'
	install -m 644 -D docs/facestream.service '$(dist)/root/usr/lib/systemd/system/facestream.service'
	sed -i 's,/opt/facestream,/usr,' '$(dist)/root/usr/lib/systemd/system/facestream.service'
	cp NOTICE '$(dist)/root/usr/share/doc/facestream/copyright'
	chmod -R u=rwX,go=rX '$(dist)/root'
	dpkg-deb --root-owner-group -Zzstd $(addprefix -z,$(compression)) --build '$(dist)/root' '$(dist)'
	rm -r '$(dist)/root'

# What podman is to be told besides, such as --build-arg=BASE=IMAGE.
image_flags :=
image: java_parts := beam flink spark
image: ## Build the container image facestream with podman: for runs, cameras and nodes of clusters.
	rm -rf build/image
	@umask 022 && $(MAKE) --no-print-directory install PREFIX=build/image java_parts='$(java_parts)'
	podman build --format=docker --file=Containerfile --tag=facestream $(image_flags) build/image

models: ## Download the network of --detector=centerface.
	@scripts/setup.sh models

test: build ## Run the tests, with real services: all but most of those that kill parts.
	@scripts/setup.sh tests
	@$(MAKE) --no-print-directory test-services

test-all: export FACESTREAM_ALL_FAULTS := 1
test-all: test ## Run every test, to the full.

# One stack for all packages, ended also after a failure or Ctrl-C. The SDK leaves empty
# files in TMPDIR when tests run pipelines through it.
test-services: export FACESTREAM_TEST_STATE := $(CURDIR)/build/test
test-services:
	@build/bin/stack down --state_dir=build/test >/dev/null
	@tmp=$$(mktemp -d) && trap 'build/bin/stack down --state_dir=build/test; rm -rf "$$tmp"' EXIT && trap 'exit 130' HUP INT TERM && \
	build/bin/stack up --state_dir=build/test kafka hdfs flink spark && \
	TMPDIR="$$tmp" $(MAKE) --no-print-directory -k $(parallel) test-clusters test-faults test-other test-raced test-profiled

# The longest are first in the list above: the others run beside them, and let them go first.
# Lint vets.
gotest = go test -vet=off -count=1 -timeout $(if $(FACESTREAM_ALL_FAULTS),90m,30m)

test-clusters:
	$(gotest) $(clusters)

test-raced:
	nice -n 3 $(gotest) -race $(raced)

test-profiled:
	nice -n 3 $(gotest) -tags matprofile $(profiled)

test-other:
	nice -n 3 $(gotest) $(other)

test-faults:
	nice -n 1 $(gotest) $(faults)

test-short: setup ## Run the tests that need no services.
	go test -short ./...

soak: setup ## For 20 minutes, kill one part after another, and check that every record is accounted for.
	go run ./scripts/soak --duration=20m

bench: setup ## Measure every runner against what this machine can do at best, in 20 minutes.
	go run ./scripts/bench all

lint: setup $(staticcheck) ## Look for what is badly formatted or suspicious.
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	nice -n 3 go vet ./...
	nice -n 3 $(staticcheck) ./...
	go mod tidy -diff

# Built once and kept: go run would link it each time.
$(staticcheck):
	GOBIN=$(CURDIR)/build/tools go install honnef.co/go/tools/cmd/staticcheck@$(patsubst build/tools/staticcheck-%,%,$@)
	mv build/tools/staticcheck $@

clean: ## End the services, and remove everything made here.
	[ ! -d build/stack ] || go run ./scripts/stack down
	rm -rf build
