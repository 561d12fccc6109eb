#!/usr/bin/env bash
# Shows deliveries and rollbacks on this machine, on real parts.
#
#   scripts/demo.sh            sets up, builds, runs the demo; keeps what it built, for the next time
#   scripts/demo.sh --keep     leaves everything running afterwards
#   scripts/demo.sh down       stops what --keep left running, and removes the shared Docker images too
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/progress.sh
began=$(date +%s)
took() { echo $(($(date +%s) - began)); }
step() { printf '\n== %s (%s s)\n' "$1" "$(took)"; }

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
refuse() {
  echo "demo: $1" >&2
  usage >&2
  exit 2
}
case ${1:-} in
  "" | --keep | down) (($# <= 1)) || refuse "unexpected argument: $2" ;;
  -h | --help) usage; exit ;;
  *) refuse "unknown argument: $1" ;;
esac

command -v rustc >/dev/null || exec scripts/setup.sh run # reports what is missing
CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET
target=${CARGO_TARGET_DIR:-$root/target}
local_run=$target/$CARGO_BUILD_TARGET/debug/sluicegate-local

if [[ ${1:-} == down ]]; then
  [[ -x $local_run ]] || { echo "Nothing was built here, so nothing can run."; exit 0; }
  exec "$local_run" --root "$root" down
fi

step "What this machine needs"
scripts/setup.sh run
step "Building: the Lambdas, the runner, the command line (about ten minutes the first time)"
with_progress "$target/build.log" scripts/build-lambdas.sh local || {
  printf '\ndemo: FAILED after %s s: the build; its end is above, all of it in %s.\n' "$(took)" "$target/build.log"
  exit 1
}
# Before the demo, which would otherwise pause for the build. The demo reports a missing image.
[[ $(scripts/engine.sh) == none ]] || scripts/build-runner-image.sh local || true
step "The story"
status=0
"${local_run%local}demo" --root "$root" "$@" || status=$?
echo
if [[ $status == 0 ]]; then
  echo "demo: all scenarios passed; $(took) s from start to end."
  [[ ${1:-} == --keep ]] && echo "demo: everything still runs; scripts/demo.sh down stops it." ||
    echo "demo: to look at what it made, run scripts/demo.sh --keep"
else
  echo "demo: FAILED after $(took) s; the lines above say where the logs are."
fi
exit "$status"
