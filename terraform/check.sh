#!/usr/bin/env bash
# Checks all of this directory: format, both roots, the modules' tests, checkov. Changes nothing here, needs no account.
# CHECKOV names the program of checkov 3.3.30; without it that part is left out, and the last line says so.
set -euo pipefail
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1

# A copy: `init` writes lock files beside the modules.
mkdir "$scratch/top"
cp -r . "$scratch/top/terraform"
cp -r ../statemachine "$scratch/top/statemachine"
# A test compares the times of jobs with the code that runs in them.
mkdir -p "$scratch/top/crates/core/domain/src"
cp ../crates/core/domain/src/job.rs "$scratch/top/crates/core/domain/src/"
rm -rf "$scratch"/top/terraform/roots/*/.terraform
cd "$scratch/top/terraform"

terraform fmt -check -recursive .

for root in roots/*/; do
  echo "== $root"
  terraform -chdir="$root" init -backend=false -lockfile=readonly -no-color > "$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
  terraform -chdir="$root" validate -no-color
done

for module in modules/*/; do
  echo "== $module"
  terraform -chdir="$module" init -backend=false -no-color > "$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
  terraform -chdir="$module" validate -no-color
  if [ -d "$module/tests" ]; then
    terraform -chdir="$module" test -no-color > "$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
    tail -n 1 "$scratch/log"
  fi
done

if [ -z "${CHECKOV:-}" ]; then
  echo "terraform: all well, but checkov was not run; set CHECKOV to its program"
  exit 0
fi
echo "== checkov"
find . -name .terraform -prune -exec rm -rf {} +
# A file that checkov cannot read would silently go unchecked.
LOG_LEVEL=ERROR "$CHECKOV" --directory . --framework terraform --compact --quiet --skip-download --output json > "$scratch/findings.json" || true
python3 - "$scratch/findings.json" << 'PY'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
found = report["results"]["failed_checks"]
for check in found:
    print(f"{check['check_id']} {check['resource']} {check['file_path']}: {check['check_name']}")
unread = report["results"].get("parsing_errors") or []
for path in unread:
    print(f"checkov could not read {path}")
summary = report["summary"]
print(f"checkov: {summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} skipped with reason")
sys.exit(bool(found or unread or summary["parsing_errors"] or not summary["passed"]))
PY
echo "terraform: all well"
