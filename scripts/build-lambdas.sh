#!/usr/bin/env bash
# Builds the Lambdas: one zip for each crate below crates/lambdas that has a main.rs.
#
#   scripts/build-lambdas.sh local           the development build: target/lambda/NAME/bootstrap.zip
#   scripts/build-lambdas.sh arm64|x86_64    for AWS: target/lambda-arm64/NAME.zip or target/lambda-x86_64/NAME.zip
#
# The build for AWS uses the profile `lambda` (small, optimized) and links against the C library of provided.al2023. It fails if a
# zip exceeds 4 MB (arm64) or 5 MB (x86_64), because a cold start loads the whole zip. The same command builds the runner,
# target/ARCHITECTURE-unknown-linux-gnu/lambda/runner, for scripts/build-runner-image.sh: separately, cargo would compile the
# dependencies a second time with other features.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/local-tools/bin
cd "$root"

names=()
for main in crates/lambdas/*/src/main.rs; do
  names+=("$(basename "$(dirname "$(dirname "$main")")")")
done

# print_size NAME ZIP
print_size() {
  [[ -e $2 ]] || { echo "build-lambdas: $2 was not made; read the lines above" >&2; exit 1; }
  awk -v name="$1" -v bytes="$(stat -c %s "$2")" 'BEGIN { printf "%-14s %6.2f MB\n", name, bytes / 1e6 }'
}

case ${1:-} in
  local)
    host=$(rustc -vV | sed -n 's/^host: //p')
    # The same command as every other build of programs for this machine, so that nothing is compiled twice.
    cargo build --workspace --all-features --bins --target "$host" --target-dir "$target"
    # Compression level 1: these zips are read once, on this machine.
    python3 - "$target/$host/debug" "$target/lambda" "${names[@]}" <<'P'
import pathlib, sys, zipfile
programs, zips = map(pathlib.Path, sys.argv[1:3])
for name in sys.argv[3:]:
    program, done = programs / name, zips / name / "bootstrap.zip"
    if done.exists() and done.stat().st_mtime_ns > program.stat().st_mtime_ns:
        continue
    done.parent.mkdir(parents=True, exist_ok=True)
    draft = done.with_suffix(".draft")
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(draft, "w", compresslevel=1) as archive:
        archive.writestr(entry, program.read_bytes(), compresslevel=1)
    draft.rename(done)
P
    for name in "${names[@]}"; do print_size "$name" "$target/lambda/$name/bootstrap.zip"; done
    ;;
  arm64 | x86_64)
    [[ -x $tools/cargo-lambda ]] || "$root/scripts/setup.sh" run
    # A panic aborts, so nothing reads the tables for unwinding.
    flags="-C force-unwind-tables=no"
    case $1 in
      # Lambda has no older arm64 processor. Its instructions for CRCs make the tables for all kinds of CRC dead code.
      arm64) flags+=" -C target-cpu=neoverse-n1" limit_bytes=4000000 ;;
      x86_64) limit_bytes=5000000 ;;
    esac
    packages=(-p sluicegate-runner)
    for name in "${names[@]}"; do packages+=(-p "sluicegate-$name"); done
    output=$target/lambda-$1
    # For aws-lc, if a dependency adds it: its jitter entropy would take half a second on the first handshake.
    PATH=$tools:$PATH AWS_LC_SYS_NO_JITTER_ENTROPY=1 RUSTC_WORKSPACE_WRAPPER='' RUSTFLAGS="${RUSTFLAGS:-} $flags" cargo lambda build --profile lambda "--${1/_/-}" \
      --lambda-dir "$output" --output-format zip "${packages[@]}"
    rm -rf "$output/runner" "$output/runner.zip"
    large=()
    for name in "${names[@]}"; do
      zip=$output/$name.zip
      [[ ! -e $output/$name/bootstrap.zip ]] || mv "$output/$name/bootstrap.zip" "$zip"
      print_size "$name" "$zip"
      (($(stat -c %s "$zip") <= limit_bytes)) || large+=("$name")
    done
    if ((${#large[@]})); then
      echo "build-lambdas: larger than $limit_bytes bytes: ${large[*]}" >&2
      echo "  next: find what was added with \`cargo tree -p sluicegate-${large[0]} -e normal\`; a feature that is not needed is the usual cause" >&2
      exit 1
    fi
    ;;
  *)
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
