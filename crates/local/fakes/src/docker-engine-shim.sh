#!/bin/sh
# `docker` for builds on a machine with a Docker engine: adds the options of this machine to `docker build`.
set -eu

here=$(dirname "$0")
if [ "${1:-}" = build ]; then
  shift
  while IFS= read -r option; do
    set -- "$option" "$@"
  done < "$here/docker-build-options"
  set -- build "$@"
fi
exec "$here/docker-cli" "$@"
