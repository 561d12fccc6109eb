#!/bin/sh
# `docker` for builds on a machine without a Docker engine. Supports the few commands that an image
# build needs, using buildah with chroot isolation. The registry is the local one, without TLS.
# Images are stored in the build's own directory and removed with it; the machine's store is unused.
set -eu

here=$(dirname "$0")
store=${TMPDIR:-/tmp}/buildah
buildah() {
  exec "$here/buildah-cli" --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"
}

fail() {
  echo "docker (by buildah): $*" >&2
  exit 64
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command" in
  login) buildah login --tls-verify=false "$@" ;;
  logout) exec "$here/buildah-cli" logout "$@" ;;
  build)
    while IFS= read -r option; do
      set -- "$option" "$@"
    done < "$here/docker-build-options"
    buildah build --isolation chroot --layers --tls-verify=false "$@"
    ;;
  tag) buildah tag "$@" ;;
  push)
    case "${1:-}" in
      -* | '') fail "push takes one image and no options" ;;
    esac
    buildah push --tls-verify=false "$1"
    ;;
  pull) buildah pull --tls-verify=false "$@" ;;
  rmi) buildah rmi "$@" ;;
  images) buildah images "$@" ;;
  inspect) buildah inspect --type image "$@" ;;
  image)
    [ "${1:-}" = inspect ] || fail "image knows inspect only"
    shift
    buildah inspect --type image "$@"
    ;;
  version | --version) buildah version ;;
  *) fail "'$command' is not known; known are login, logout, build, tag, push, pull, rmi, images, inspect, version" ;;
esac
