#!/usr/bin/env bash
# Every check and test, on a fresh machine too.
#
#   scripts/test.sh                  all suites, in this order
#   scripts/test.sh SUITE...         rust deny terraform checkov asl unit launcher emulator
#
# Each suite's whole output lies in target/test-logs/<suite>.log. Exit 0 when all passed.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
. scripts/progress.sh
target=${CARGO_TARGET_DIR:-$root/target}
logs=$target/test-logs
lint=$target/lint-tools/bin
# What setup.sh installed of cargo's subcommands.
export PATH=$target/cargo-tools/bin:$PATH
python=$target/local-tools/bin/python
began=$(date +%s)
took() { echo $(($(date +%s) - began)); }

CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET
bin=$target/$CARGO_BUILD_TARGET/debug
# One that does not exist makes terraform print a warning into everything.
[[ -f ${TF_CLI_CONFIG_FILE:-} ]] || unset TF_CLI_CONFIG_FILE
mkdir -p "$logs"
# What failed in a test is in its text; a trace would bury it. With one: RUST_BACKTRACE=1 cargo nextest run TEST.
export RUST_BACKTRACE=0

rust() {
  cargo fmt --all --check &&
    cargo clippy --workspace --all-targets --all-features -- -D warnings &&
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
}

deny() {
  cargo deny --config .deny.toml --log-level error check bans licenses sources
}

# Terraform with providers from the mirror, and with its data outside of the tree.
terraform_here() {
  # With the features of the other suites: what it depends on is built once.
  cargo build --workspace --all-features --bin sluicegate-local || return 1
  "$bin/sluicegate-local" terraform-config >"$logs/terraform.rc" || return 1
  export TF_CLI_CONFIG_FILE=$logs/terraform.rc TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
  export AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
}

terraform_suite() {
  terraform_here || return 1
  CHECKOV=$lint/checkov terraform/check.sh || return 1
  terraform fmt -check -recursive examples || return 1
  local folder
  for folder in examples/*/infra/*/; do
    echo "== $folder"
    export TF_DATA_DIR=$logs/terraform/$folder
    terraform -chdir="$folder" init -backend=false -input=false -no-color >"$logs/init.log" 2>&1 ||
      { cat "$logs/init.log"; return 1; }
    terraform -chdir="$folder" validate -no-color || return 1
  done
}

# What terraform/check.sh does not look at: the samples and the Dockerfiles.
checkov() {
  "$lint/checkov" --directory examples --directory crates/runner --framework terraform dockerfile secrets \
    --skip-download --quiet --compact
}

# The definition as cfn-lint's JSON schema of state machines sees it; tests/contract checks the rest.
asl() {
  "$lint/python" scripts/lint-asl.py statemachine/deliver.asl.json
}

unit() {
  local status=0
  cargo nextest run --workspace --all-features --no-fail-fast -E 'not binary(emulator)' || status=1
  # The ports over AWS, each against the emulator.
  scripts/with-emulator.sh cargo nextest run --workspace --all-features --no-fail-fast \
    -E 'package(sluicegate-aws) & binary(emulator)' || status=1
  return $status
}

launcher() {
  "$python" -m pytest -q -p no:cacheprovider tests/launcher
}

emulator() {
  scripts/build-lambdas.sh local && cargo build --workspace &&
    cargo nextest run --workspace --all-features --no-capture --no-fail-fast \
      -E 'package(sluicegate-tests) & binary(emulator)'
}

suites=("$@")
[[ ${#suites[@]} == 0 ]] && suites=(rust deny terraform checkov asl unit launcher emulator)

echo "test: what this machine needs"
scripts/setup.sh test || exit 1

passed=0 failed=()
for suite in "${suites[@]}"; do
  from=$(date +%s)
  case $suite in
    terraform) run=terraform_suite ;;
    rust | deny | checkov | asl | unit | launcher | emulator) run=$suite ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  echo "test: $suite"
  # The suite that tells stories shows them as they happen.
  if [[ $suite == emulator ]]; then
    ($run) 2>&1 | tee "$logs/$suite.log"
    status=${PIPESTATUS[0]}
  else
    (with_progress "$logs/$suite.log" "$run")
    status=$?
  fi
  if [[ $status == 0 ]]; then
    passed=$((passed + 1))
    grep -hE '^ +Summary|[0-9]+ passed' "$logs/$suite.log" | tail -n 3
    echo "test: $suite passed in $(($(date +%s) - from)) s"
  else
    failed+=("$suite")
    echo "test: $suite FAILED after $(($(date +%s) - from)) s; all of it: target/test-logs/$suite.log"
  fi
done

echo
echo "test: ${#suites[@]} suites in $(took) s${failed[*]:+; failed: ${failed[*]}}"
echo "$passed passed, ${#failed[@]} failed"
[[ ${#failed[@]} == 0 ]]
