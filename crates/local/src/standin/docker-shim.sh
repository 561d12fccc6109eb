#!/bin/sh
# `docker` for builds on a machine without an engine: the few commands that a build of an image
# needs, done by buildah. Images are built in a chroot; the registry is the local one, without TLS.
set -eu

fail() {
  echo "docker (by buildah): $*" >&2
  exit 64
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command" in
  login) exec buildah login --tls-verify=false "$@" ;;
  logout) exec buildah logout "$@" ;;
  build) exec buildah build --isolation chroot --layers --tls-verify=false "$@" ;;
  tag) exec buildah tag "$@" ;;
  push)
    case "${1:-}" in
      -* | '') fail "push takes one image and no options" ;;
    esac
    exec buildah push --tls-verify=false "$1"
    ;;
  pull) exec buildah pull --tls-verify=false "$@" ;;
  rmi) exec buildah rmi "$@" ;;
  images) exec buildah images "$@" ;;
  inspect) exec buildah inspect --type image "$@" ;;
  image)
    [ "${1:-}" = inspect ] || fail "image knows inspect only"
    shift
    exec buildah inspect --type image "$@"
    ;;
  version | --version) exec buildah version ;;
  *) fail "'$command' is not known; known are login, logout, build, tag, push, pull, rmi, images, inspect, version" ;;
esac
