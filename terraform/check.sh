#!/usr/bin/env bash
# Checks all Terraform of this repository: formats, the roots and modules, the modules' tests, the examples' stacks, and
# checkov. It changes nothing and needs no AWS account.
#
# CHECKOV is the path of checkov 3.3.30. Without it, checkov is left out, and the last line says so.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
provider=
trap '[[ -z $provider ]] || kill "$provider" 2>/dev/null || true; rm -rf "$scratch"' EXIT
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
# Terraform spends much of its time in the garbage collector when it reads the schema of the AWS provider.
export GOGC=${GOGC:-400}

# `init` writes beside the modules, so all of this happens in a copy.
top=$scratch/top
mkdir "$top"
cp -r terraform statemachine examples "$top"
find "$top" -name .terraform -prune -exec rm -rf {} +
cd "$top"

# Runs a command and shows what it wrote only when it fails.
quietly() {
  local log
  log=$(mktemp "$scratch/log.XXXXXX")
  "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

echo "== format"
terraform fmt -check -recursive .

echo "== init"
for root in terraform/roots/*/; do
  quietly terraform -chdir="$root" init -backend=false -lockfile=readonly -no-color
done
for stack in examples/*/infra/*/; do
  quietly terraform -chdir="$stack" init -backend=false -no-color
done

# A module that no root calls would be validated by nothing.
for module in terraform/modules/*/; do
  grep -q "\"Dir\":\"[^\"]*modules/$(basename "$module")\"" terraform/roots/aws/.terraform/modules/modules.json ||
    { echo "roots/aws does not call $module, so nothing validates it" >&2; exit 1; }
done

# One provider serves every command from here on: its start and its schema take longer than most checks. Nothing
# configures it: `validate` does not, and the tests mock it.
program=$(find -L terraform/roots/aws/.terraform/providers -type f -name 'terraform-provider-aws_v*')
: >"$scratch/provider.log"
"$program" -debug >>"$scratch/provider.log" 2>&1 &
provider=$!
until grep -q TF_REATTACH_PROVIDERS= "$scratch/provider.log"; do
  kill -0 "$provider" 2>/dev/null || { echo "the AWS provider did not start:" >&2; cat "$scratch/provider.log" >&2; exit 1; }
  sleep 0.1
done
TF_REATTACH_PROVIDERS=$(sed -n "s/.*TF_REATTACH_PROVIDERS='\(.*\)'.*/\1/p" "$scratch/provider.log")
export TF_REATTACH_PROVIDERS

validate() {
  terraform -chdir="$1" validate -no-color >"$1/check.log" 2>&1 || { cat "$1/check.log" >&2; return 1; }
  echo "$1: valid"
}

# Tests of the variables need no provider: variables.tf, with limits.tf that its validations read, is a module of its own.
inputs() {
  local copy=$scratch/inputs/terraform/modules/$(basename "$1")
  mkdir -p "$copy"
  cp -r "$1"/. "$copy"
  find "$copy" -maxdepth 1 -name '*.tf' ! -name variables.tf ! -name limits.tf -delete
  find "$copy/tests" -name '*.tftest.hcl' ! -name inputs.tftest.hcl -delete
  terraform -chdir="$copy" init -backend=false -no-color >"$copy/check.log" 2>&1 &&
    terraform -chdir="$copy" test -no-color -filter=tests/inputs.tftest.hcl >"$copy/check.log" 2>&1 ||
    { cat "$copy/check.log" >&2; return 1; }
  echo "$1: inputs: $(tail -n 1 "$copy/check.log")"
}

tests() {
  local file filters=()
  for file in "$1"tests/*.tftest.hcl; do
    [[ $file == */inputs.tftest.hcl ]] || filters+=(-filter="tests/$(basename "$file")")
  done
  terraform -chdir="$1" init -backend=false -no-color >"$1/check.log" 2>&1 &&
    terraform -chdir="$1" test -no-color "${filters[@]}" >"$1/check.log" 2>&1 || { cat "$1/check.log" >&2; return 1; }
  echo "$1: $(tail -n 1 "$1/check.log")"
}

run() { "$@"; }
export -f run validate inputs tests
export scratch
mkdir "$scratch/inputs"
cp -r statemachine "$scratch/inputs"

echo "== validate and test"
{
  # The longest first.
  printf 'tests %s\n' terraform/modules/sluicegate/
  printf 'validate %s\n' terraform/roots/*/ examples/*/infra/*/
  for module in terraform/modules/*/; do
    [[ ! -f ${module}tests/inputs.tftest.hcl ]] || printf 'inputs %s\n' "$module"
    [[ $module == */sluicegate/ || ! -d ${module}tests ]] || printf 'tests %s\n' "$module"
  done
} | xargs -P 2 -n 2 bash -c 'run "$@" || exit 255' _
kill "$provider"
wait "$provider" 2>/dev/null || true
provider=

if [[ -z ${CHECKOV:-} ]]; then
  echo "terraform: all checks passed, but checkov was left out: set CHECKOV to its path"
  exit 0
fi
echo "== checkov"
find . -name .terraform -prune -exec rm -rf {} +
LOG_LEVEL=ERROR "$CHECKOV" --directory . --framework terraform --compact --quiet --skip-download --output json >"$scratch/findings.json" || true
# checkov ends well when it cannot read a file, so the report decides.
python3 - "$scratch/findings.json" <<'PY'
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
print(f"checkov: {summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} skipped with a reason")
sys.exit(bool(found or unread or summary["parsing_errors"] or not summary["passed"]))
PY
echo "terraform: all checks passed"
