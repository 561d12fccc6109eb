#!/usr/bin/env bash
# Measures deliveries on the local run against Terraform alone. Writes target/bench/README.md, plot.svg and results.json.
#
#   scripts/bench.sh              sets up, builds, measures five changes on each side (about ten minutes)
#   scripts/bench.sh --pairs N    measures N changes
#   scripts/bench.sh --aws        builds the Lambdas for AWS (x86_64) first, for their sizes and memory (on arm64: sizes only)
#
# Fails if the commands of a job did not share one provider process. Zips of an earlier build for AWS are measured too. Other load
# on the machine makes the times longer on both sides.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/progress.sh

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
arguments=(--require-shared-provider) with_aws=
while (($#)); do
  case $1 in
    --aws) with_aws=1 ;;
    --pairs)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { echo "bench: --pairs needs a number of at least 1" >&2; exit 2; }
      arguments+=("$1" "$2")
      shift
      ;;
    -h | --help)
      usage
      exit
      ;;
    *)
      echo "bench: unknown argument: $1" >&2
      usage >&2
      exit 2
      ;;
  esac
  shift
done

command -v rustc >/dev/null || exec scripts/setup.sh run # reports what is missing
CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET
target=${CARGO_TARGET_DIR:-$root/target}
scripts/setup.sh run
with_progress "$target/build.log" scripts/build-lambdas.sh local || {
  echo "bench: the build failed; all of its output: $target/build.log" >&2
  exit 1
}
mkdir -p "$target/bench"
[[ -z $with_aws ]] || with_progress "$target/bench/build-aws.log" scripts/build-lambdas.sh x86_64
# Only programs for this machine can be called.
if compgen -G "$target/lambda-$(uname -m)/*.zip" >/dev/null; then
  "$target/local-tools/bin/python" scripts/call-lambdas.py "$target/lambda-$(uname -m)" --json "$target/bench/lambdas.json"
  arguments+=(--lambdas "$target/bench/lambdas.json")
fi
exec "$target/$CARGO_BUILD_TARGET/debug/sluicegate-bench" --root "$root" "${arguments[@]}"
