#!/usr/bin/env bash
# Runs the pinned checkov with the given arguments. Runs it as a Python module, because a shebang line does not support
# every path.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec "${CARGO_TARGET_DIR:-$root/target}/lint-tools/bin/python" -m checkov.main "$@"
