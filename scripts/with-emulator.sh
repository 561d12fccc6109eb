#!/usr/bin/env bash
# Runs a command with an emulated AWS, whose address is in SLUICEGATE_TEST_EMULATOR.
#
#   scripts/with-emulator.sh COMMAND [ARGUMENT...]
#
# The emulator is the launcher's, on a free port, without containers; it ends with the command. Exit: the command's, or
# 1 when no emulator answers.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${CARGO_TARGET_DIR:-$root/target}/local-tools/bin/python
die() {
  printf 'with-emulator: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}
[[ $# -gt 0 ]] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[[ -x $python ]] || die "$python does not exist" "run scripts/setup.sh test"

dir=$(mktemp -d)
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
env -i PATH="$PATH" HOME="$dir" TMPDIR="$dir" PYTHONPATH="$root/crates/local/launcher" PYTHONDONTWRITEBYTECODE=1 \
  GATEWAY_PORT="$port" DOCKER_HOST=unix:///nowhere "$python" -m sluicegate_emulator >"$dir/log" 2>&1 &
emulator=$!
end() {
  kill "$emulator" 2>/dev/null || true
  wait "$emulator" || true
  rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

answers() {
  "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' \
    "$url/_ministack/health" 2>/dev/null
}
deadline=$((SECONDS + 60))
until answers; do
  if ! kill -0 "$emulator" 2>/dev/null || ((SECONDS > deadline)); then
    cat "$dir/log" >&2
    die "no emulator answers at $url" "see the lines above"
  fi
done

SLUICEGATE_TEST_EMULATOR=$url "$@"
