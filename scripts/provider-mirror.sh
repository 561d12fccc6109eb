#!/usr/bin/env bash
# The folder that terraform takes the AWS provider from: one that holds registry.terraform.io/hashicorp/aws.
#
#   scripts/provider-mirror.sh         prints the first that is there; nothing when there is none
#   scripts/provider-mirror.sh config  prints a Terraform CLI configuration that takes providers from it
#   scripts/provider-mirror.sh make    downloads what terraform/roots/local needs into target/provider-mirror, prints it
#
# Looked at, in this order: the filesystem mirrors of the user's CLI configuration (TF_CLI_CONFIG_FILE, else
# ~/.terraformrc), target/provider-mirror, and the usual places below the home directory, /usr/share, /usr/local/share
# and /opt. All others ask here: the other scripts, the local run and the tests.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
own=${CARGO_TARGET_DIR:-$root/target}/provider-mirror
shared=${SLUICEGATE_MIRROR_PLACES-/usr/share /usr/local/share /opt} # for tests

# Prints the filesystem mirrors of a CLI configuration. The file may be missing; terraform itself only warns about that.
configured() {
  local config=${TF_CLI_CONFIG_FILE:-$HOME/.terraformrc}
  [[ -f $config ]] || return 0
  sed -E 's,^[[:space:]]*(#|//).*,,' "$config" | tr '\n' ' ' | { grep -oE 'filesystem_mirror[[:space:]]*\{[^}]*\}' || true; } |
    sed -nE 's/.*[{[:space:]]path[[:space:]]*=[[:space:]]*"([^"]*)".*/\1/p'
}

places() {
  configured
  printf '%s\n' "$own" "$HOME/.terraform.d/plugins" "$HOME/.terraform.d/mirror"
  local base
  for base in $shared "$HOME"; do
    printf '%s\n' "$base/terraform/plugins" "$base" "$base"/*
  done
}

find_mirror() {
  local place
  while IFS= read -r place; do
    if [[ -d $place/registry.terraform.io/hashicorp/aws ]]; then
      printf '%s\n' "$place"
      return
    fi
  done < <(places)
}

die() {
  printf 'provider-mirror: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

make_mirror() {
  # The final name must never refer to an incomplete mirror.
  mkdir -p "$(dirname "$own")"
  draft=$(mktemp -d "$own.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  chmod 755 "$draft"
  # If the variable names a missing file, terraform prints a warning for every command.
  [[ -f ${TF_CLI_CONFIG_FILE:-} ]] || unset TF_CLI_CONFIG_FILE
  export TF_DATA_DIR=$draft/.data CHECKPOINT_DISABLE=1
  terraform -chdir="$root/terraform/roots/local" get -no-color >/dev/null
  terraform -chdir="$root/terraform/roots/local" providers mirror -no-color "$draft" >&2 || {
    die "the AWS provider could not be downloaded" "give this machine a way to registry.terraform.io and releases.hashicorp.com and \
run this again; or bring a mirror from another machine (\`terraform providers mirror DIR\` there, in terraform/roots/local) and \
name it by filesystem_mirror in ~/.terraformrc"
  }
  # Unpacked: terraform links to it instead of unpacking 700 MB at each init, and the runner's image copies it unchanged.
  python3 - "$draft" <<'P' || die "the download in $draft could not be unpacked" "see the lines above; 1 GB of space is needed"
import pathlib, re, sys, zipfile
for archive in pathlib.Path(sys.argv[1]).glob("registry.terraform.io/*/*/*.zip"):
    version, platform = re.fullmatch(r"terraform-provider-[^_]+_([^_]+)_(\w+)", archive.stem).groups()
    folder = archive.parent / version / platform
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    for program in folder.glob("terraform-provider-*"):
        program.chmod(0o755)
    archive.unlink()
P
  rm -rf "$draft/.data"
  find "$draft" -name '*.json' -delete # index files of the packed archives
  # Readable for the user of the runner's image, regardless of the umask.
  chmod -R a+rX "$draft"
  [[ -d $draft/registry.terraform.io/hashicorp/aws ]] ||
    die "terraform brought no AWS provider" "look at terraform/roots/local: it should need hashicorp/aws"
  rm -rf "$own"
  mv "$draft" "$own"
  printf '%s\n' "$own"
}

print_config() {
  local mirror
  mirror=$(find_mirror)
  [[ -n $mirror ]] || die "no folder on this machine holds registry.terraform.io/hashicorp/aws" "run scripts/setup.sh, which downloads it"
  printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$mirror"
}

case ${1:-} in
  "") find_mirror ;;
  config) print_config ;;
  make) make_mirror ;;
  *)
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
