#!/usr/bin/env bash
# Runs the pinned checkov with the given arguments: by its module, since the first line of an installed program cannot hold
# every path.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec "${CARGO_TARGET_DIR:-$root/target}/lint-tools/bin/python" -m checkov.main "$@"
