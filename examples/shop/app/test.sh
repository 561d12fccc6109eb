#!/bin/sh
# Tests the service and stores the tested program as dist/shop, where the Dockerfile expects it.
# CARGO_TARGET_DIR may name a directory that outlives the build, to reuse compiled dependencies.
set -eu
cd "$(dirname "$0")"

# A fresh build container has no Rust. rustup reads the version from rust-toolchain.toml.
if ! command -v cargo >/dev/null; then
    if [ -z "${CODEBUILD_BUILD_ID:-}" ]; then
        echo "test.sh: cargo was not found: install Rust from https://rustup.rs and run it again" >&2
        exit 1
    fi
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --profile minimal --default-toolchain none
    PATH="$HOME/.cargo/bin:$PATH"
fi

# The flags in .cargo/config.toml make the program static. These variables would override them.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
# Builds share compiled code, but never the finished program: a concurrent build would write its own
# program to the same place.
CARGO_BUILD_BUILD_DIR="${CARGO_TARGET_DIR:-target}"
CARGO_TARGET_DIR=target
export CARGO_BUILD_BUILD_DIR CARGO_TARGET_DIR

# One build at a time in a shared directory: cargo releases its lock before the tests begin, and another
# build would replace the programs.
if [ "$CARGO_BUILD_BUILD_DIR" != target ] && command -v flock >/dev/null; then
    mkdir -p "$CARGO_BUILD_BUILD_DIR"
    exec 9>"$CARGO_BUILD_BUILD_DIR/.test.sh.lock"
    flock 9
fi

# cargo compares timestamps, and an unpacked archive may have older ones than the previous build.
find src tests -name '*.rs' -exec touch {} +

cargo test --locked
mkdir -p dist
host="$(rustc -vV | sed -n 's/^host: //p')"
install -m 0755 "target/$host/debug/shop" dist/shop

if ! LC_ALL=C ldd dist/shop 2>&1 | grep -Eq 'statically linked|not a dynamic executable'; then
    echo "test.sh: dist/shop needs a C library, which the image lacks: see .cargo/config.toml" >&2
    exit 1
fi
