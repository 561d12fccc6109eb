#!/usr/bin/env bash
# Builds the image of the Batch jobs from the programs on this machine.
#
#   scripts/build-runner-image.sh [TAG]     for AWS; default tag: sluicegate-runner:aws
#   scripts/build-runner-image.sh local     for the local run: uses the runner that scripts/build-lambdas.sh local
#                                           built. The image's name identifies its checkout and content. An existing
#                                           image is reused. Its /mirror is empty: the local run mounts a mirror
#                                           there
#
# The image gets a shell, git and the basic programs of this machine, with their libraries: Terraform fetches modules with git,
# and `local-exec` and `external` start a shell.
#
# Settings, as environment variables:
#   TERRAFORM         the terraform binary            (default: terraform on the PATH)
#   TERRAFORM_SHA256  its expected digest             (default: the one pinned in the Dockerfile;
#                     `any` accepts any binary, as `local` does)
#   PROVIDER_MIRROR   directory that contains registry.terraform.io/...   (default: what scripts/provider-mirror.sh finds)
#   CONTEXT_ONLY=1    prepares the context, prints its path, builds no image
#
# Output: one line per step, the image's name last. Exit status 0 if the image exists and its runner starts.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd -P)
dockerfile=$root/crates/runner/Dockerfile
tag=${1:-sluicegate-runner:aws}
case $tag in
  -h | --help) sed -n '2,20s/^# \{0,1\}//p' "$0"; exit ;;
  -*) echo "build-runner-image: $tag is not a tag" >&2; sed -n '4,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
[[ $tag == local ]] && local_run=1 || local_run=
output=${CARGO_TARGET_DIR:-$root/target}

die() {
  echo "build-runner-image: $1" >&2
  echo "  next: $2" >&2
  exit 1
}

pinned() { sed -n "s/^ARG $1=//p" "$dockerfile"; }

if [[ ${CONTEXT_ONLY:-} != 1 ]]; then
  DOCKER_HOST=$("$root/scripts/engine.sh")
  [[ $DOCKER_HOST != none ]] ||
    die "no Docker engine answers" "start Docker; or set CONTEXT_ONLY=1 and build the context with another program"
  export DOCKER_HOST
fi

machine=$(uname -m)
case $machine in
  x86_64) platform=linux_amd64 architecture=x86_64 ;;
  aarch64) platform=linux_arm64 architecture=arm64 ;;
  *) die "no image for $machine" "build on x86_64 or aarch64" ;;
esac
target=$machine-unknown-linux-gnu

terraform=${TERRAFORM:-$(command -v terraform || true)}
[[ -x $terraform ]] || die "no terraform found" "install terraform $(pinned TERRAFORM_VERSION), or set TERRAFORM"
found=$(sha256sum "$terraform" | cut -d' ' -f1)
[[ $local_run ]] && TERRAFORM_SHA256=any
expected=${TERRAFORM_SHA256:-$(pinned TERRAFORM_SHA256)}
if [[ $expected != any && $found != "$expected" ]]; then
  die "$terraform has the digest $found, expected $expected" \
    "use terraform $(pinned TERRAFORM_VERSION) for $platform, or set TERRAFORM_SHA256 to a digest that you checked"
fi

mirror=
if [[ ! $local_run ]]; then
  mirror=${PROVIDER_MIRROR:-$("$root/scripts/provider-mirror.sh")}
  [[ -d $mirror/registry.terraform.io ]] || die "no provider mirror found" \
    "make one with scripts/provider-mirror.sh make, or set PROVIDER_MIRROR"
fi

authorities=
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [[ -f $file ]] && authorities=$file && break
done
[[ -n $authorities ]] || die "no CA certificates found" "install the package ca-certificates"

# The local run uses the existing runner. It is not built here: the tests have already built it, and a second cargo would wait
# for other builds.
if [[ $local_run ]]; then
  built=$output/$target/debug/runner
  [[ -x $built ]] || die "$built does not exist" "run scripts/build-lambdas.sh local, which builds all programs"
else
  built=$output/$target/lambda/runner
  echo "runner: scripts/build-lambdas.sh $architecture"
  "$root/scripts/build-lambdas.sh" "$architecture" || die "the runner could not be built" "read the lines above"
fi
passwd="runner:x:65532:65532:runner:/tmp:/nonexistent"

# bash is not needed by Terraform, but many scripts name it.
programs=(sh bash env '[' awk base64 basename cat chmod cmp comm cp cut date dd df diff dirname du echo expr false find fold grep
  gunzip gzip head id install join ln ls md5sum mkdir mktemp mv nl nproc od paste printenv printf pwd readlink realpath rm rmdir
  sed seq sha1sum sha256sum sha512sum sleep sort split stat tac tail tar tee test timeout touch tr true truncate uname uniq wc
  xargs yes git)
for program in "${programs[@]}"; do
  type -P "$program" >/dev/null || die "this machine has no $program, which the image gets from it" "install it"
done
git_core=$(git --exec-path)
# What git needs beside its built-in commands: HTTP, and submodules, which are a shell script.
git_parts=(git-remote-http git-remote-https git-submodule git-sh-setup git-sh-i18n git-sh-i18n--envsubst)
[[ -x $git_core/git-remote-https ]] || die "$git_core has no git-remote-https" "install git with its support for HTTPS"

if [[ $local_run ]]; then
  content=$({
    echo "$passwd" "$found"
    sha256sum "$0" "$dockerfile" "$built" "$authorities" "$(type -P git)" "$git_core/git-remote-https" "$(type -P sh)" |
      cut -d' ' -f1
  } | sha256sum | cut -c1-16)
  # Specific to this checkout, so that `demo.sh down` in another checkout does not remove it.
  checkout=$(printf %s "$root" | sha256sum | cut -c1-6)
  tag=sluicegate-runner:local-$checkout-$content
  if docker image inspect "$tag" >/dev/null 2>&1; then
    echo "$tag"
    exit 0
  fi
  # A separate directory, because another local run may build at the same time.
  context=$(mktemp -d "$output/runner-image.XXXXXX")
  [[ ${CONTEXT_ONLY:-} == 1 ]] || trap 'rm -rf "$context"' EXIT
  chmod 755 "$context"
else
  context=$output/runner-image
  rm -rf "$context"
fi
version=$("$terraform" version -json 2>/dev/null | sed -n 's/.*"terraform_version": *"\([^"]*\)".*/\1/p')
mkdir -p "$context/tmp" "$context/mirror" "$context/system/bin" "$context/system/usr/bin" "$context/system$git_core"
for program in "${programs[@]}"; do
  cp --dereference "$(type -P "$program")" "$context/system/usr/bin/"
done
# The paths that the first lines of scripts name.
ln -s ../usr/bin/sh "$context/system/bin/sh"
ln -s ../usr/bin/bash "$context/system/bin/bash"
for part in "${git_parts[@]}"; do
  cp --dereference "$git_core/$part" "$context/system$git_core/"
done
ln -sf git-remote-http "$context/system$git_core/git-remote-https"
# Every line that names a library contains its path, except that of the kernel's virtual library. A script has none.
{ ldd "$built" "$context/system/usr/bin/"* "$context/system$git_core/"* 2>/dev/null || true; } | grep -v ':$' |
  grep -oE '/[^ ]+' | sort -u | while read -r library; do
  cp --parents --dereference "$library" "$context/system/"
done
chmod 1777 "$context/tmp"
cp "$built" "$context/runner"
cp "$terraform" "$context/terraform"
cp "$authorities" "$context/ca-certificates.crt"
echo "$passwd" >"$context/passwd"
if [[ ! $local_run ]]; then
  # The AWS provider alone is 700 MB: share blocks if the file system supports it.
  cp -R --reflink=auto "$mirror/registry.terraform.io" "$context/mirror/"
  find "$context/mirror" -name 'terraform-provider-*' -path "*/$platform/*" | grep -q . ||
    die "the mirror at $mirror holds no unpacked provider for $platform" \
      "make one with scripts/provider-mirror.sh make and set PROVIDER_MIRROR=$output/provider-mirror"
fi
chmod -R a+rX "$context"
echo "context: $context ($(du -sh "$context" | cut -f1)), terraform $version, mirror ${mirror:-empty}"
[[ ${CONTEXT_ONLY:-} == 1 ]] && exit 0

docker build --quiet --file "$dockerfile" --tag "$tag" \
  --build-arg "TERRAFORM_VERSION=$version" --build-arg "TERRAFORM_SHA256=$found" "$context"
# Otherwise the next build would reuse it.
discard() {
  docker image rm "$tag" >/dev/null
  die "$@"
}
docker run --rm "$tag" --version ||
  discard "the image was built, but its runner does not start" "look at what $built needs: ldd $built"
# Nothing listens there: git can only say so once its program for HTTPS has started.
docker run --rm --network none --entrypoint /bin/sh "$tag" -c '
  git --version && git submodule status 2>&1 | grep -q "not a git repository" &&
    git ls-remote https://127.0.0.1:9/x 2>&1 | grep -qi "connect"' ||
  discard "the image was built, but its shell or git does not start" "look at what they need: ldd $git_core/git-remote-https"
echo "$tag"
