#!/usr/bin/env bash
# Checks what the local run and the tests need, and installs what can be installed.
#
#   scripts/setup.sh [run]           for scripts/demo.sh (the default)
#   scripts/setup.sh test            for scripts/test.sh: `run`, and the Python packages of the tests and linters
#   scripts/setup.sh check           only checks that the programs are there; installs nothing
#   scripts/setup.sh cargo NAME...   cargo's subcommands for scripts/test.sh: deny, nextest
#
# Everything is installed below target/, except for buildah. It is safe to run this again: what is there is left alone.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
purpose=${1:-run}
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/local-tools
cargo_tools=$target/cargo-tools
launcher=$root/crates/local/launcher
# One for each purpose, because scripts/test.sh runs two setups at the same time.
log=$target/setup-$purpose.log
mkdir -p "$target"
. "$root/scripts/progress.sh"

say() { printf 'setup: %s\n' "$1"; }
die() {
  printf 'setup: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

# enough VERSION MINIMUM: whether the version is at least the minimum.
enough() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

check_programs() {
  local program version
  for program in git cargo clippy-driver python3; do
    command -v "$program" >/dev/null || case $program in
      clippy-driver)
        die "there is no clippy-driver on the PATH, which every build runs" "run rustup component add clippy, then run this again" ;;
      cargo) die "there is no cargo on the PATH" "install Rust with rustup (rustup.rs), then run this again" ;;
      *) die "there is no $program on the PATH" "install it with the system's packages (apt-get install $program), then run this again" ;;
    esac
  done
  command -v cc >/dev/null ||
    die "there is no C compiler on the PATH" "install one (apt-get install build-essential), then run this again"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "python3 is $(python3 --version), and the pinned packages need 3.10" "install Python 3.10 or newer, then run this again"
  python3 -c 'import ensurepip' 2>/dev/null ||
    die "python3 cannot make virtual environments" "install its venv package (apt-get install python3-venv)"
  say "$(cargo --version), $(python3 --version), $(git --version)"

  # If the variable names a missing file, terraform prints a warning for every command.
  [[ -f ${TF_CLI_CONFIG_FILE:-} ]] || unset TF_CLI_CONFIG_FILE
  command -v terraform >/dev/null ||
    die "there is no terraform on the PATH" "install 1.11 or newer (developer.hashicorp.com/terraform/install)"
  version=$(terraform version -json | python3 -c 'import json, sys; print(json.load(sys.stdin)["terraform_version"])')
  enough "$version" 1.11 ||
    die "terraform is $version" "install 1.11 or newer: the modules' tests and the state's lock file in S3 need it"
  say "terraform $version"
}

find_providers() {
  local mirror
  mirror=$("$root/scripts/provider-mirror.sh")
  if [[ -z $mirror ]]; then
    say "there is no provider mirror on this machine: downloading the AWS provider into target/provider-mirror (700 MB, once)"
    mirror=$("$root/scripts/provider-mirror.sh" make)
  fi
  say "providers come from $mirror"
}

find_image_builder() {
  if [[ $("$root/scripts/engine.sh") != none ]]; then
    say "a Docker engine answers: services and image builds are containers"
  elif command -v buildah >/dev/null; then
    say "no Docker engine answers: images are built by buildah, and no service runs"
  elif command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
    say "no Docker engine answers: installing buildah, to build images without one"
    with_progress "$log" install_buildah
  else
    die "no Docker engine answers, and there is no buildah" "start Docker, or install buildah (apt-get install buildah)"
  fi
}

install_buildah() {
  apt-get update -qq && apt-get install -y -qq --no-install-recommends buildah
}

# Installs the pinned packages of a list into a virtual environment, once.
python_packages() {
  local environment=$1 list=$2 stamp
  stamp=$environment/.$(basename "$list").$(sha256sum "$list" | cut -c1-16)
  [[ ! -e $stamp ]] || return 0
  say "installing $(grep -c '==' "$list") pinned Python packages from $(basename "$list")"
  [[ -x $environment/bin/python ]] || python3 -m venv "$environment" || return 1
  with_progress "$log" "$environment/bin/python" -m pip install --disable-pip-version-check --require-hashes -r "$list" &&
    touch "$stamp"
}

# Provides a cargo subcommand: a recent one on the PATH, otherwise one in target/cargo-tools, which scripts/test.sh prefers.
cargo_subcommand() {
  local name=cargo-$1 wanted=$2 found
  found=$(PATH=$cargo_tools/bin:$PATH cargo "$1" --version 2>/dev/null | sed -n "s/^$name \([0-9.]*\).*/\1/p;q") || true
  if [[ -n $found ]] && enough "$found" "$wanted"; then
    say "$name $found"
    return
  fi
  python_packages "$cargo_tools" "$root/scripts/requirements-cargo.txt" ||
    die "there is no wheel of $name for this machine, or it cannot be downloaded; pip's output is above" \
      "install it yourself, then run this again: cargo install --locked $name"
}

case $purpose in
  check) check_programs ;;
  run | test)
    check_programs
    find_providers
    find_image_builder
    # One environment for the local run and the tests, whose packages include those of the local run.
    python_packages "$tools" "$launcher/requirements.txt"
    if [[ $purpose == test ]]; then
      python_packages "$tools" "$launcher/requirements-test.txt"
      # Separate, because the linters need other versions of the same packages than the emulator.
      python_packages "$target/lint-tools" "$launcher/requirements-lint.txt"
    fi
    ;;
  cargo)
    shift
    for name in "$@"; do
      case $name in
        deny) cargo_subcommand deny 0.20.2 ;;
        nextest) cargo_subcommand nextest 0.9.143 ;;
        *) die "cargo $name is not needed here" "name deny or nextest" ;;
      esac
    done
    ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
say "done"
