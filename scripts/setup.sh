#!/bin/sh
# Installs what facestream needs on a Debian 12 machine: a C++ compiler, OpenCV
# and its cascades, Java, Maven, Go, and the Java parts of scripts/java/pom.xml.
#
#   scripts/setup.sh
#
# What is there already stays as it is. A run with nothing to install changes
# nothing, needs neither root nor the network, and takes about a second.
set -eu

# The profiles of scripts/java/pom.xml; each becomes a folder below build/java. A
# job server for Flink or Spark uploads its class path with every job, but for
# what lies in a folder of the name gradle/wrapper.
profiles="beam kafka hadoop gradle/wrapper/flink gradle/wrapper/spark"
min_java=11                  # what the Java parts run on
cascade=haarcascades/haarcascade_frontalface_alt.xml

cd "$(dirname "$0")/.."
mkdir -p build
log=$PWD/build/setup.log
: >"$log"
tmp=
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT PIPE TERM

say() {
	printf 'setup: %s\n' "$*"
}

fail() {
	printf 'setup: %s\n' "$*" >&2
	exit 1
}

# attempt STEP COMMAND... runs a command without its output. If it fails, the
# end of the output is shown and the setup is over.
attempt() {
	step=$1
	shift
	printf '\n== %s: %s\n' "$step" "$*" >>"$log"
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		fail "$step failed (everything it said: $log)"
	fi
}

# need PACKAGE TEST... notes a Debian package as missing if the test fails.
missing=
need() {
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

have_java() {
	java=${JAVA_HOME:+$JAVA_HOME/bin/}java
	major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
	[ "${major:-0}" -ge "$min_java" ] && "$java" --list-modules | grep -q '^jdk\.compiler@'
}

have_cascade() {
	[ -e "/usr/share/opencv4/$cascade" ] || [ -e "/usr/local/share/opencv4/$cascade" ]
}

# go_version prints the version of the go command as this project sees it: from
# Go 1.21 on, go fetches the version that go.mod asks for by itself.
go_version() {
	go version 2>>"$log" | sed -n 's/^go version go\([0-9.]*\).*/\1/p'
}

want_go=$(sed -n 's/^go //p' go.mod)

# have_go says whether go is what go.mod asks for, or newer.
have_go() {
	[ "$(printf '%s\n' "$want_go" "$(go_version)" | sort -V | tail -n 1)" = "$(go_version)" ]
}

# packages installs from Debian what is missing.
packages() {
	need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
	need g++ command -v g++
	need git command -v git
	need make command -v make
	need pkg-config command -v pkg-config
	need libopencv-dev pkg-config --exists opencv4
	need opencv-data have_cascade
	need openjdk-17-jdk-headless have_java
	need maven command -v mvn
	need golang-go command -v go # old, but it can fetch another Go

	if [ -z "$missing" ]; then
		say "Debian packages: already there"
		return
	fi
	command -v apt-get >/dev/null || fail "this is not a Debian machine: install by hand what Debian has in these packages:$missing"
	[ "$(id -u)" = 0 ] || fail "packages are missing. As root: apt-get install --no-install-recommends$missing"
	say "Debian packages: installing$missing (some minutes)"
	export DEBIAN_FRONTEND=noninteractive
	attempt "updating the list of Debian packages" apt-get update -o Acquire::Retries=3
	# shellcheck disable=SC2086 # a list of words
	attempt "installing Debian packages" apt-get install -y --no-install-recommends \
		-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 $missing
	hash -r
	have_java || fail "java is older than $min_java, or no JDK, after installing openjdk-17-jdk-headless: $(command -v "$java")"
}

# golang installs the Go that go.mod asks for in /usr/local. Go's own module of
# its releases is the source: a registry that every Go can read, with checksums.
golang() {
	if have_go; then
		say "Go $(go_version): already there"
		return
	fi
	[ "$(id -u)" = 0 ] || fail "go is $(go_version), go.mod asks for $want_go: install that, or run this as root"
	say "Go $want_go: installing in /usr/local"
	release=v0.0.1-go$want_go.linux-$(GOTOOLCHAIN=local go env GOARCH)
	tmp=$(mktemp -d)
	mkdir "$tmp/empty"
	cd "$tmp/empty" # away from go.mod, which an old Go cannot read
	attempt "downloading Go $want_go" env GOPATH="$tmp/go" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
		go mod download "golang.org/toolchain@$release"
	cd "$OLDPWD"
	new=/usr/local/go$want_go.new
	attempt "copying Go $want_go" unpack_go "$tmp/go/pkg/mod/golang.org/toolchain@$release" "$new"
	rm -rf "/usr/local/go$want_go"
	mv "$new" "/usr/local/go$want_go"
	ln -sf "/usr/local/go$want_go/bin/go" "/usr/local/go$want_go/bin/gofmt" /usr/local/bin/
	hash -r
	have_go || fail "Go $want_go is in /usr/local/bin, but $(command -v go) comes first in PATH, and is $(go_version)"
}

# unpack_go FROM TO copies a release out of its module, and puts back what a
# module cannot hold: executable files, and modules inside of it.
unpack_go() {
	rm -rf "$2" &&
		cp -R "$1" "$2" &&
		chmod -R a+rX "$2" &&
		chmod 755 "$2"/bin/* "$2"/pkg/tool/*/* &&
		mv "$2/src/_go.mod" "$2/src/go.mod" &&
		mv "$2/src/cmd/_go.mod" "$2/src/cmd/go.mod"
}

# java_parts FOLDER puts a class path into build/java. A folder that is there is
# complete; its stamp is the pom it was made from.
java_parts() {
	dir=$PWD/build/java/$1
	profile=${1##*/}
	if [ "$(cat "$dir/pom.sha256" 2>/dev/null)" = "$pom" ]; then
		say "Java parts ($profile): already there"
		return
	fi
	say "Java parts ($profile): downloading"
	rm -rf "$dir.new"
	attempt "downloading the Java parts ($profile)" mvn -B -q -ntp -f scripts/java/pom.xml -P "$profile" \
		dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir.new"
	printf '%s\n' "$pom" >"$dir.new/pom.sha256"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

packages
golang
pom=$(sha256sum scripts/java/pom.xml | cut -d ' ' -f 1)
for folder in $profiles; do
	java_parts "$folder"
done
