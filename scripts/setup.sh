#!/usr/bin/env bash
# Checks what the local run and the tests need, and installs what can be installed.
#
#   scripts/setup.sh [run|test]      run (default): for scripts/demo.sh; test: for scripts/test.sh too
#
# Everything goes below target/, but for buildah. Safe to run again: what is there is left alone.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
purpose=${1:-run}
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/local-tools
cargo_tools=$target/cargo-tools
launcher=$root/crates/local/launcher
log=$target/setup.log
mkdir -p "$target"
. "$root/scripts/progress.sh"

say() { printf 'setup: %s\n' "$1"; }
die() {
  printf 'setup: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

# Whether a version is that of $2 or newer.
enough() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# A subcommand of cargo: the one on the PATH if it is new enough, else one below target/, which scripts/test.sh finds first.
cargo_tool() {
  local name=cargo-$1 wanted=$2 found
  found=$(PATH=$cargo_tools/bin:$PATH cargo "$1" --version 2>/dev/null | sed -n "s/^$name \([0-9.]*\).*/\1/p;q") || true
  if [[ -n $found ]] && enough "$found" "$wanted"; then
    say "$name $found"
    return
  fi
  say "building $name $wanted from crates.io into target/cargo-tools (some minutes, once)"
  # For this machine by itself, whatever the workspace is built for.
  with_progress "$log" env -u CARGO_BUILD_TARGET cargo install --locked --root "$cargo_tools" "$name" --version "$wanted"
}

for program in git cargo python3; do
  command -v "$program" >/dev/null || case $program in
    cargo) die "no cargo on the PATH" "install Rust by rustup (rustup.rs), then run this again" ;;
    *) die "no $program on the PATH" "install it by the system's packages (apt-get install $program), then run this again" ;;
  esac
done
command -v cc >/dev/null || die "no C compiler on the PATH" "install one (apt-get install build-essential), then run this again"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "python3 is $(python3 --version), and the pinned packages need 3.10" "install Python 3.10 or newer, then run this again"
python3 -c 'import ensurepip' 2>/dev/null ||
  die "python3 cannot make virtual environments" "install its venv package (apt-get install python3-venv)"
say "$(cargo --version), $(python3 --version), $(git --version)"

# A CLI configuration that does not exist makes terraform print a warning into everything.
[[ -f ${TF_CLI_CONFIG_FILE:-} ]] || unset TF_CLI_CONFIG_FILE
terraform=$(command -v terraform) ||
  die "no terraform on the PATH" "install 1.11 or newer (developer.hashicorp.com/terraform/install)"
version=$("$terraform" version -json | python3 -c 'import json, sys; print(json.load(sys.stdin)["terraform_version"])')
enough "$version" 1.11 ||
  die "terraform is $version" "install 1.11 or newer: the modules' tests and the state's lock file in S3 need it"
say "terraform $version"

mirror=$("$root/scripts/provider-mirror.sh")
if [[ -z $mirror ]]; then
  say "no provider mirror on this machine: downloading the AWS provider into target/provider-mirror (700 MB, once)"
  mirror=$("$root/scripts/provider-mirror.sh" make)
fi
say "providers come from $mirror"

if docker info >/dev/null 2>&1; then
  say "a Docker engine answers: services and image builds are containers"
elif command -v buildah >/dev/null; then
  say "no Docker engine answers: images are built by buildah, and no service runs"
elif command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
  say "no Docker engine answers: installing buildah, to build images without one"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends buildah >/dev/null
else
  die "no Docker engine answers, and there is no buildah" "start Docker, or install buildah (apt-get install buildah)"
fi

# The pinned packages of a list, once, into an environment of Python's.
python_tools() {
  local environment=$1 list=$2 stamp
  stamp=$environment/.$(basename "$list").$(sha256sum "$list" | cut -c1-16)
  [[ ! -e $stamp ]] || return 0
  say "installing $(grep -c '==' "$list") pinned Python packages from $(basename "$list")"
  [[ -x $environment/bin/python ]] || python3 -m venv "$environment"
  with_progress "$log" "$environment/bin/python" -m pip install --disable-pip-version-check --require-hashes -r "$list"
  touch "$stamp"
}

# One environment for the run and the tests: what the tests need holds what the run needs.
python_tools "$tools" "$launcher/requirements.txt"
if [[ $purpose == test ]]; then
  python_tools "$tools" "$launcher/requirements-test.txt"
  # Of its own: what the linters need disagrees with what the emulator needs.
  python_tools "$target/lint-tools" "$launcher/requirements-lint.txt"
  cargo_tool deny 0.20.2
  cargo_tool nextest 0.9.143
fi
say "all is there"
