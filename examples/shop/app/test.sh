#!/bin/sh
# Tests the service. Nothing that it makes reaches the image, which the Dockerfile builds from a new copy of the source.
# CARGO_TARGET_DIR may name a directory that outlives the build, to reuse compiled dependencies.
set -eu
cd "$(dirname "$0")"

# AWS's build images have no Rust. In CI (`CI` is set), a pinned rustup-init installs the toolchain of rust-toolchain.toml;
# an image that has it (`environment_image` of the installation) is faster.
if ! command -v cargo >/dev/null; then
    if [ -z "${CI:-}" ]; then
        echo "test.sh: cargo was not found: install Rust from https://rustup.rs and run it again" >&2
        exit 1
    fi
    case "$(uname -m)" in
        x86_64) sum=4acc9acc76d5079515b46346a485974457b5a79893cfb01112423c89aeb5aa10 ;;
        aarch64) sum=9732d6c5e2a098d3521fca8145d826ae0aaa067ef2385ead08e6feac88fa5792 ;;
        *) echo "test.sh: no rustup-init is pinned for $(uname -m)" >&2; exit 1 ;;
    esac
    installer=$(mktemp -d)/rustup-init
    curl --proto '=https' --tlsv1.2 --silent --show-error --fail --location --output "$installer" \
        "https://static.rust-lang.org/rustup/archive/1.29.0/$(uname -m)-unknown-linux-gnu/rustup-init"
    echo "$sum  $installer" | sha256sum --check --quiet
    chmod +x "$installer"
    "$installer" -y --no-modify-path --profile minimal --default-toolchain none
    PATH="$HOME/.cargo/bin:$PATH"
fi

# Builds share compiled code. One build at a time in a shared directory: cargo releases its lock before the tests begin, and
# another build would replace the programs.
if [ -n "${CARGO_TARGET_DIR:-}" ] && command -v flock >/dev/null; then
    mkdir -p "$CARGO_TARGET_DIR"
    exec 9>"$CARGO_TARGET_DIR/.test.sh.lock"
    flock 9
fi

# cargo compares timestamps, and an unpacked archive may have older ones than the previous build.
find src tests -name '*.rs' -exec touch {} +

cargo test --locked
