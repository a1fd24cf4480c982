#!/bin/sh
# Runs the job with the five parameters of the lab, in the lab's order:
#
#   scripts/run.sh KAFKA TOPICS USER HDFS_PATH MINUTES [RUNNER]
#
# The exit status is the program's: 0 done, 1 failed, 2 wrong setting, 130
# interrupted.
set -eu

usage() {
	cat >&2 <<'END'
usage: scripts/run.sh KAFKA TOPICS USER HDFS_PATH MINUTES [RUNNER]

  KAFKA      brokers, host:port, comma-separated
  TOPICS     topics, comma-separated
  USER       Hadoop user that owns the pictures
  HDFS_PATH  folder for the pictures, hdfs://host:port/path
  MINUTES    how long to run
  RUNNER     prism (the default), flink or spark
END
	exit 2
}

[ $# -eq 5 ] || [ $# -eq 6 ] || usage
for parameter; do
	[ -n "$parameter" ] || usage
done

cd "$(dirname "$0")/.."
# Not go run: it turns every failure into exit status 1.
make -s programs
exec build/bin/pipeline "--kafka=$1" "--topics=$2" "--user=$3" "--output=$4" "--duration=$5" "--runner=${6:-prism}"
