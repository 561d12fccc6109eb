#!/bin/sh
# `aws` for builds. Sends the ECR calls that an image build makes to the emulator, and passes every
# other call to the AWS CLI, if it is installed.
set -eu

endpoint=${AWS_ENDPOINT_URL_ECR:-${AWS_ENDPOINT_URL:-}}
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}

call() {
  curl --silent --show-error --fail --max-time 30 \
    --header "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.$1" \
    --header 'Content-Type: application/x-amz-json-1.1' \
    --header "Authorization: AWS4-HMAC-SHA256 Credential=test/20000101/$region/ecr/aws4_request, SignedHeaders=host, Signature=none" \
    --data "$2" "$endpoint/"
}

value_of() {
  wanted=$1
  shift
  while [ $# -gt 0 ]; do
    case "$1" in
      "$wanted") printf %s "${2:-}"; return ;;
      "$wanted"=*) printf %s "${1#*=}"; return ;;
    esac
    shift
  done
}

if [ -n "$endpoint" ]; then
  case "${1:-} ${2:-}" in
    'ecr get-login-password')
      token=$(call GetAuthorizationToken '{}')
      printf %s "$token" | sed -n 's/.*"authorizationToken" *: *"\([^"]*\)".*/\1/p' \
        | base64 -d | cut -d: -f2-
      exit
      ;;
    'ecr describe-images')
      repository=$(value_of --repository-name "$@")
      image=$(value_of --image-ids "$@")
      query=$(value_of --query "$@")
      case "$image" in
        imageTag=*) id="\"imageTag\":\"${image#*=}\"" ;;
        imageDigest=*) id="\"imageDigest\":\"${image#*=}\"" ;;
        *) echo "aws (local run): describe-images takes --image-ids imageTag=... or imageDigest=..." >&2; exit 252 ;;
      esac
      case "$query" in
        '' | 'imageDetails[0].imageDigest') ;;
        *) echo "aws (local run): describe-images knows no --query '$query'" >&2; exit 252 ;;
      esac
      answer=$(call DescribeImages "{\"repositoryName\":\"$repository\",\"imageIds\":[{$id}]}") || exit 254
      if [ -z "$query" ]; then
        printf '%s\n' "$answer"
      else
                # Text output, regardless of --output.
        printf %s "$answer" | tr -d '\n' | sed -n 's/.*"imageDigest" *: *"\([^"]*\)".*/\1/p'
      fi
      exit
      ;;
  esac
fi

cli=$(dirname "$0")/aws-cli
if [ -x "$cli" ]; then
  exec "$cli" "$@"
fi
echo "aws (local run): '$*' is not known and there is no AWS CLI" >&2
exit 252
