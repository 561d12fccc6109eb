#!/usr/bin/env bash
# Builds the image of the Batch jobs from what this machine has.
#
#   scripts/build-runner-image.sh [TAG]        default tag: sluicegate-runner:local
#
# Settings, by environment:
#   TERRAFORM         the binary to put in            (default: terraform on the PATH)
#   TERRAFORM_SHA256  the digest it must have         (default: the one pinned in the Dockerfile;
#                     `any` takes the binary as it is, for the local run only)
#   PROVIDER_MIRROR   directory holding registry.terraform.io/...   (default: the usual places)
#   PROFILE           cargo profile                   (default: release; `dev` builds quicker)
#   CONTEXT_ONLY=1    prepare the context, print its path, build no image
#
# Output: one line a step; the image's id last. Exit 0 when the image was built and answers.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
dockerfile=$root/crates/runner/Dockerfile
tag=${1:-sluicegate-runner:local}
profile=${PROFILE:-release}

die() {
  echo "build-runner-image: $1" >&2
  echo "  next: $2" >&2
  exit 1
}

pinned() { sed -n "s/^ARG $1=//p" "$dockerfile"; }

find_mirror() {
  local config=${TF_CLI_CONFIG_FILE:-$HOME/.terraformrc} candidate
  if [[ -f $config ]]; then
    candidate=$(sed -n '/filesystem_mirror/,/}/s/^[[:space:]]*path[[:space:]]*=[[:space:]]*"\(.*\)".*/\1/p' "$config" | head -n 1)
    if [[ -d $candidate/registry.terraform.io ]]; then
      echo "$candidate"
      return
    fi
  fi
  find /usr/share /usr/local/share /opt "$HOME" -maxdepth 4 -type d \
    -path '*/registry.terraform.io/hashicorp/aws' -prune -print 2>/dev/null |
    head -n 1 | sed 's,/registry.terraform.io/hashicorp/aws$,,'
}

machine=$(uname -m)
case $machine in
  x86_64) platform=linux_amd64 ;;
  aarch64) platform=linux_arm64 ;;
  *) die "no image for $machine" "build on x86_64 or aarch64" ;;
esac
target=$machine-unknown-linux-gnu

terraform=${TERRAFORM:-$(command -v terraform || true)}
[[ -x $terraform ]] || die "no terraform found" "install terraform $(pinned TERRAFORM_VERSION), or set TERRAFORM"
found=$(sha256sum "$terraform" | cut -d' ' -f1)
expected=${TERRAFORM_SHA256:-$(pinned TERRAFORM_SHA256)}
if [[ $expected != any && $found != "$expected" ]]; then
  die "$terraform has the digest $found, expected $expected" \
    "use terraform $(pinned TERRAFORM_VERSION) for $platform, or set TERRAFORM_SHA256 to a digest that you checked"
fi
version=$("$terraform" version -json 2>/dev/null | sed -n 's/.*"terraform_version": *"\([^"]*\)".*/\1/p')

mirror=${PROVIDER_MIRROR:-$(find_mirror)}
[[ -d $mirror/registry.terraform.io ]] || die "no provider mirror found" \
  "make one with \`terraform providers mirror DIR\` (unpacked), or set PROVIDER_MIRROR"

authorities=
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [[ -f $file ]] && authorities=$file && break
done
[[ -n $authorities ]] || die "no CA certificates found" "install the package ca-certificates"

echo "runner: cargo build, profile $profile, static"
# --target keeps the flags away from build scripts and procedural macros.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --locked \
  --manifest-path "$root/Cargo.toml" -p sluicegate-runner --profile "$profile" --target "$target"
built=$root/target/$target/${profile/#dev/debug}/runner

context=$root/target/runner-image
rm -rf "$context"
mkdir -p "$context/tmp" "$context/mirror"
chmod 1777 "$context/tmp"
cp "$built" "$context/runner"
cp "$terraform" "$context/terraform"
cp "$authorities" "$context/ca-certificates.crt"
echo "runner:x:65532:65532:runner:/tmp:/nonexistent" >"$context/passwd"
# The AWS provider alone has 700 MB: shared blocks where the file system can do that.
cp -R --reflink=auto "$mirror/registry.terraform.io" "$context/mirror/"
chmod -R a+rX "$context"
find "$context/mirror" -name 'terraform-provider-*' -path "*/$platform/*" | grep -q . ||
  die "the mirror at $mirror holds no unpacked provider for $platform" \
    "unpack the archives in it: <version>/$platform/terraform-provider-<type>_v<version>"
echo "context: $context ($(du -sh "$context" | cut -f1)), terraform $version, mirror $mirror"
[[ ${CONTEXT_ONLY:-} == 1 ]] && exit 0

docker build --quiet --file "$dockerfile" --tag "$tag" \
  --build-arg "TERRAFORM_VERSION=$version" --build-arg "TERRAFORM_SHA256=$found" "$context"
docker run --rm "$tag" --version
