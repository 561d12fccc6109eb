#!/usr/bin/env bash
# Runs every check and test. Works on a fresh machine too: it installs what it needs below target/.
#
#   scripts/test.sh                     all suites; those that do not depend on each other run at the same time
#   scripts/test.sh [--long] SUITE...   the named ones: rust deny terraform checkov asl unit matrix situations
#                                       launcher emulator aws
#
# --long also builds the Lambdas for arm64 in the suite aws (about 10 minutes more).
# The whole output of a suite is in target/test-logs/SUITE.log; of a single named suite it is shown as well.
# Exit status: 0 when all suites passed, 1 when one failed, 2 when the arguments are wrong, 130 after Ctrl-C.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
target=${CARGO_TARGET_DIR:-$root/target}
logs=$target/test-logs
state=$logs/state
# Cargo subcommands that setup.sh installed.
export PATH=$target/cargo-tools/bin:$PATH
CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET
# If the variable names a missing file, terraform prints a warning for every command.
[[ -f ${TF_CLI_CONFIG_FILE:-} ]] || unset TF_CLI_CONFIG_FILE
# The message of a failed test explains the failure. For a backtrace: RUST_BACKTRACE=1 cargo nextest run TEST.
export RUST_BACKTRACE=0
# Expected files are compared, never rewritten.
unset UPDATE_EXPECT INSTA_UPDATE INSTA_FORCE_PASS
# The build runs clippy by .cargo/config.toml, which these would override.
unset RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER
# Incremental builds cost time and space on the first build, and this is often the first.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
engine=$(scripts/engine.sh)

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }

# --- Steps that the suites need. Each runs once, before the first suite that needs it --------------------------------------

# Builds the programs and tests of the whole workspace with one set of features.
everything=(--workspace --all-features)
step_build() {
  local compiled_twice
  cargo build "${everything[@]}" --bins --tests || return 1
  scripts/build-lambdas.sh local >"$logs/lambdas.log" 2>&1 || { cat "$logs/lambdas.log"; return 1; }
  # Without development dependencies, cargo enables fewer features of third-party crates. tests/Cargo.toml adds the others.
  compiled_twice=$(sed -n 's/^ *Compiling \([^ ]*\).*/\1/p' "$logs/lambdas.log" | grep -v '^sluicegate-')
  if [[ -n $compiled_twice ]]; then
    echo "The build of the programs compiles crates a second time, with other features than the build of the tests:"
    echo "$compiled_twice"
    echo "Enable the features that differ in tests/Cargo.toml; \`cargo tree --workspace -e features -i CRATE\` shows them."
    return 1
  fi
  cat "$logs/lambdas.log"
  scripts/setup.sh cargo nextest || return 1
  # Later runs read this list of tests instead of calling cargo, which would wait for other builds in target/.
  cargo metadata --format-version 1 --all-features --filter-platform "$CARGO_BUILD_TARGET" >"$logs/metadata.json" &&
    cargo nextest list "${everything[@]}" --list-type binaries-only --message-format json >"$logs/binaries.json"
}

step_tools() { scripts/setup.sh test; }

# run_tests FILTER [OPTION...]
run_tests() {
  local filter=$1
  shift
  cargo nextest run --binaries-metadata "$logs/binaries.json" --cargo-metadata "$logs/metadata.json" --no-fail-fast \
    -E "$filter" "$@"
}

# --- The suites --------------------------------------------------------------------------------------------------------------

# The build ran clippy, see .cargo/config.toml. Cargo repeats the warnings of what it need not compile again.
suite_rust() {
  cargo fmt --all --check || return 1
  cargo build "${everything[@]}" --bins --tests --message-format json >"$logs/build.json" &&
    python3 scripts/lint-rust.py "$logs/metadata.json" "$logs/build.json"
}

suite_deny() {
  scripts/setup.sh cargo deny && cargo deny --config .deny.toml --log-level error check bans licenses sources
}

# Installs providers from the mirror.
suite_terraform() {
  scripts/provider-mirror.sh config >"$logs/terraform.rc" || return 1
  export TF_CLI_CONFIG_FILE=$logs/terraform.rc
  export AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  CHECKOV=$root/scripts/checkov.sh terraform/check.sh
}

# Checks what terraform/check.sh does not: the samples and the Dockerfiles.
suite_checkov() {
  scripts/checkov.sh --directory examples --directory crates/runner --framework terraform dockerfile secrets \
    --skip-download --quiet --compact
}

# Checks the definition against cfn-lint's schema of state machines. tests/contract checks the rest.
suite_asl() {
  "$target/lint-tools/bin/python" scripts/lint-asl.py statemachine/deliver.asl.json
}

suite_unit() {
  local status=0
  run_tests 'not binary(emulator) and not (package(sluicegate-tests) and binary(matrix))' --profile recorded || status=1
  cp "$target/nextest/recorded/junit.xml" "$logs/junit-unit.xml"
  # The AWS adapter, against the emulator.
  scripts/with-emulator.sh cargo nextest run --binaries-metadata "$logs/binaries.json" \
    --cargo-metadata "$logs/metadata.json" --no-fail-fast -E 'package(sluicegate-aws) and binary(emulator)' || status=1
  return $status
}

# The failure matrix in process, on fakes.
suite_matrix() {
  local status=0
  run_tests 'package(sluicegate-tests) and binary(matrix)' --profile recorded || status=1
  cp "$target/nextest/recorded/junit.xml" "$logs/junit-matrix.xml"
  return $status
}

# Compares the table of situations in tests/README.md with the results of this run.
suite_situations() {
  python3 scripts/situations.py "$logs/junit-unit.xml" "$logs/junit-matrix.xml"
}

suite_launcher() {
  "$target/local-tools/bin/python" -m pytest -q -rs -p no:cacheprovider tests/launcher
}

suite_emulator() {
  run_tests 'package(sluicegate-tests) and binary(emulator)' --no-capture
}

# The artifacts for AWS: builds and runs each Lambda once, and builds the runner's image if an engine answers.
suite_aws() {
  scripts/build-lambdas.sh x86_64 || return 1
  if [[ $(uname -m) == x86_64 ]]; then python3 scripts/call-lambdas.py "$target/lambda-x86_64" || return 1
  else echo "the Lambdas are not called: they are built for x86_64, and this machine is $(uname -m)"; fi
  if [[ -n $long ]]; then scripts/build-lambdas.sh arm64 || return 1; fi
  if [[ $engine == none ]]; then
    echo "no Docker engine answers: the runner's image is not built"
    return
  fi
  # Specific to this checkout, so that tests in another checkout do not affect it.
  local image status=0
  image=sluicegate-runner:test-$(printf %s "$root" | sha256sum | cut -c1-6)
  TERRAFORM_SHA256=any scripts/build-runner-image.sh "$image" || status=1
  ((status)) || docker image inspect --format '{{.Size}}' "$image" | awk '{ printf "runner-image %8.2f MB\n", $1 / 1e6 }' || status=1
  docker image rm --force "$image" >/dev/null 2>&1
  rm -rf "$target/runner-image"
  return $status
}

# --- The order: each lane runs its steps and suites one after the other, concurrently with the other lanes ---------------------

# The first lane compiles on all cores. From the suite rust on, it has a low priority and does not slow the tests.
lane_compiler=(build unit matrix situations rust deny aws)
lane_tools=(tools terraform checkov asl launcher)
lane_stories=(emulator)
all_suites=(rust deny terraform checkov asl unit matrix situations launcher emulator aws)

needs_of() {
  case $1 in
    unit | emulator) echo build tools ;;
    matrix | rust) echo build ;;
    situations) echo build tools unit matrix ;;
    terraform | checkov | asl | launcher | aws) echo tools ;;
  esac
}

long='' suites=()
for argument in "$@"; do
  case $argument in
    --long) long=1 ;;
    -h | --help)
      usage
      exit
      ;;
    *)
      [[ " ${all_suites[*]} " == *" $argument "* ]] || {
        echo "test: unknown suite: $argument" >&2
        usage >&2
        exit 2
      }
      suites+=("$argument")
      ;;
  esac
done
((${#suites[@]})) || suites=("${all_suites[@]}")
wanted=" ${suites[*]} "
for suite in "${suites[@]}"; do wanted+="$(needs_of "$suite") "; done
export long

now() { date +%s; }
began=$(now)
say() { printf 'test: %4s s  %s\n' "$(($(now) - began))" "$1"; }

# Sets cpu_seconds to the CPU time of the ended children of this process.
read_cpu_time() {
  local user system
  times >"$state/times.$BASHPID" # a file, since a subshell has times of its own
  { read -r _ && read -r user system; } <"$state/times.$BASHPID"
  cpu_seconds=$(awk -F'[ms ]+' '{ printf "%d", $1 * 60 + $2 + $3 * 60 + $4 }' <<<"$user $system")
}

# await STEP: waits for a step and returns whether it passed.
await() {
  until [[ -e $state/$1.passed || -e $state/$1.failed ]]; do sleep 0.5; done
  [[ -e $state/$1.passed ]]
}

# Runs a step or a suite, writes its output to its log, and prints its result.
run() {
  local name=$1 log=$logs/$1.log kind=suite from cpu_before cpu_seconds status=0 needed
  declare -F "step_$name" >/dev/null && kind=step
  : >"$log"
  for needed in $(needs_of "$name"); do
    await "$needed" && continue
    echo "not run, since $needed failed" >"$log"
    say "$name FAILED: not run, since $needed failed"
    : >"$state/$name.failed"
    return
  done
  from=$(now)
  say "$name started"
  : >"$state/$name.running"
  read_cpu_time
  cpu_before=$cpu_seconds
  if [[ ${#suites[@]} == 1 && ${suites[0]} == "$name" ]]; then
    ("${kind}_$name") </dev/null 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
  else
    ("${kind}_$name") </dev/null >"$log" 2>&1 || status=$?
    [[ $status == 0 ]] || tail -n 60 "$log" | sed "s/^/   $name | /"
  fi
  read_cpu_time
  if [[ $status == 0 && $engine != none ]] && grep -n 'no Docker engine answers' "$log" | sed "s/^/   $name | /" | grep .; then
    echo "   $name | but an engine answers at $engine: a test that needs it was skipped"
    status=1
  fi
  rm -f "$state/$name.running"
  if [[ $status == 0 ]]; then
    grep -hE '^ +Summary|[0-9]+ passed|^[a-z-]+ +[0-9.]+ MB$' "$log" | sed 's/^ */              /' | tail -n 12
    say "$name passed in $(($(now) - from)) s ($((cpu_seconds - cpu_before)) s of CPU time)"
    : >"$state/$name.passed"
  else
    say "$name FAILED after $(($(now) - from)) s; all of its output: ${log#"$root/"}"
    : >"$state/$name.failed"
  fi
}

# lane NAME...: runs the requested steps and suites in this order.
lane() {
  local name
  # After Ctrl-C has ended a suite, the next one must not start.
  trap 'exit 130' INT TERM
  for name in "$@"; do
    [[ $name != rust ]] || renice -n 10 -p "$BASHPID" >/dev/null
    [[ $wanted != *" $name "* ]] || run "$name"
  done
}

# Prints each running step or suite with the last line of its log.
progress() {
  local running name
  for running in "$state"/*.running; do
    [[ -e $running ]] || continue
    name=$(basename "$running" .running)
    say "  $name: $(tail -n 1 "$logs/$name.log" | tr -d '\r' | cut -c 1-100)"
  done
}

lanes=() lanes_of=()
# Ends the process groups of lanes. Escalates to a stronger signal after 15 seconds.
# end_groups SIGNALS LANE...
end_groups() {
  local groups=("${@:2}") signal seconds
  groups=("${groups[@]/#/-}")
  for signal in $1; do
    kill "-$signal" -- "${groups[@]}" 2>/dev/null
    for ((seconds = 0; seconds < 15; seconds++)); do
      kill -0 -- "${groups[@]}" 2>/dev/null || return 0
      sleep 1
    done
  done
}

# Fails what a lane left without a result: a lane that was killed must not keep the others waiting. Ends what it
# started: a suite that nothing waits for would still use the machine.
fail_after_lost_lanes() {
  local index name lost
  for index in "${!lanes[@]}"; do
    kill -0 "${lanes[index]}" 2>/dev/null && continue
    lost=
    for name in ${lanes_of[index]}; do
      [[ $wanted == *" $name "* && ! -e $state/$name.passed && ! -e $state/$name.failed ]] || continue
      say "$name FAILED: the process that ran it was killed"
      rm -f "$state/$name.running"
      : >"$state/$name.failed"
      lost=1
    done
    [[ -z $lost ]] || end_groups 'TERM KILL' "${lanes[index]}"
  done
}

# The first process of a lane leads its process group.
lanes_run() { kill -0 "${lanes[@]}" 2>/dev/null; }

# Ends everything that runs.
stop() {
  trap '' INT TERM HUP
  echo "test: stopping"
  end_groups 'INT TERM KILL' "${lanes[@]}"
  exit 130
}

# A function, because bash reads it as a whole: the file may change while the script runs.
main() {
  scripts/setup.sh check || exit 1
  mkdir -p "$logs"
  exec {lock}>"$logs/lock"
  flock -n "$lock" || { echo "test: another scripts/test.sh runs in this checkout; wait for it or stop it" >&2; exit 1; }
  rm -rf "$state"
  mkdir -p "$state"
  if [[ $engine != none ]]; then
    # Every suite uses this engine. A test that does not find it fails.
    export DOCKER_HOST=$engine EXPECTED_ENGINE=$engine
    echo "test: a Docker engine answers at $engine"
  else
    unset EXPECTED_ENGINE
    echo "test: no Docker engine answers, so tests that need containers are skipped"
  fi

  trap stop INT TERM HUP
  # A separate process group for each lane, so that it can be ended with everything that it started.
  set -m
  local -n steps_and_suites
  for steps_and_suites in lane_compiler lane_tools lane_stories; do
    lane "${steps_and_suites[@]}" {lock}>&- &
    lanes+=($!)
    lanes_of+=("${steps_and_suites[*]}")
  done
  set +m

  local next=30 passed=0 failed=() suite
  while lanes_run; do
    sleep 1
    fail_after_lost_lanes
    (($(now) - began >= next)) || continue
    next=$((next + 30))
    progress
  done

  echo
  for suite in "${suites[@]}"; do
    if [[ -e $state/$suite.passed ]]; then passed=$((passed + 1)); else failed+=("$suite"); fi
  done
  echo "test: ${#suites[@]} suites in $(($(now) - began)) s; logs in ${logs#"$root/"}${failed[*]:+; failed: ${failed[*]}}"
  echo "$passed passed, ${#failed[@]} failed"
  ((${#failed[@]} == 0))
}

main; exit
