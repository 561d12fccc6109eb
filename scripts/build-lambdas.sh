#!/usr/bin/env bash
# Builds the eight Lambdas with cargo-lambda: a zip each, in target/lambda/<name>/bootstrap.zip.
#
#   scripts/build-lambdas.sh local             for this machine, quickly
#   scripts/build-lambdas.sh arm64|x86_64      for AWS: small, against the C library of provided.al2023
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/local-tools/bin
functions=(webhook validate plan apply build-trigger deploy rollback record)

[[ -x $tools/cargo-lambda ]] || "$root/scripts/setup.sh" run
PATH=$tools:$PATH
cd "$root"

case ${1:-} in
  local)
    # The same profile, target and features as the rest of the local run: nothing is built twice.
    cargo lambda build --workspace --compiler cargo --disable-optimizations \
      --target "$(rustc -vV | sed -n 's/^host: //p')" --output-format zip
    ;;
  arm64 | x86_64)
    packages=()
    for name in "${functions[@]}"; do packages+=(-p "sluicegate-$name"); done
    architecture=--${1/_/-}
    # aws-lc, should a dependency bring it back, would spend half a second on its first handshake.
    AWS_LC_SYS_NO_JITTER_ENTROPY=1 cargo lambda build --profile lambda "$architecture" \
      --output-format zip "${packages[@]}"
    ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

for name in "${functions[@]}"; do
  zip=$target/lambda/$name/bootstrap.zip
  [[ -e $zip ]] || { echo "build-lambdas: $zip was not made" >&2; exit 1; }
  printf '%-14s %s\n' "$name" "$(du -h "$zip" | cut -f1)"
done
