#!/usr/bin/env bash
# Prints the address of the Docker engine that answers, a value for DOCKER_HOST, or `none`.
#
#   scripts/engine.sh
#
# Only this script decides whether an engine is used. The other scripts, the local run and the tests call it.
# DOCKER_HOST takes precedence over docker's current context. Engines behind TLS are not supported.
set -uo pipefail

unset DOCKER_TLS_VERIFY DOCKER_CERT_PATH
address=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null)}
if [[ -n $address ]] && DOCKER_HOST=$address docker info >/dev/null 2>&1; then
  printf '%s\n' "$address"
else
  echo none
fi
