#!/usr/bin/env bash
# Builds a Docker image with this machine's Rust and C compiler, for the local run: it stands for the public image that
# examples/shop/app/Dockerfile names, so that a local run needs no registry. Prints the image's name.
#
#   scripts/build-rust-image.sh PROJECT
#
# PROJECT is a directory with a rust-toolchain.toml. An image that exists is not built again: its name has the versions.
# Needs Linux, gcc with a static C library (Debian: libc6-dev), and the docker engine in DOCKER_HOST.
set -euo pipefail

project=${1:?name a directory with a rust-toolchain.toml}
root=$(cd "$(dirname "$0")/.." && pwd)
# Specific to this checkout, so that `demo.sh down` in another checkout does not remove it.
checkout=$(printf %s "$root" | sha256sum | cut -c1-6)
sysroot=$(cd "$project" && rustc --print sysroot)
versions=$("$sysroot/bin/rustc" -vV; gcc --version; uname -m; cat "$0")
image=sluicegate-rust:local-$checkout-$(sha256sum <<<"$versions" | cut -c1-16)
if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image"
  exit 0
fi
libc=$(dirname "$(gcc -print-file-name=libc.a)")
if [[ $libc != /* ]]; then
  echo "build-rust-image: gcc has no static C library (libc.a); install it (apt-get install libc6-dev)" >&2
  exit 1
fi

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
mkdir -p "$files"/{usr/bin,usr/lib,usr/lib64,usr/local,etc/ssl/certs,tmp,root}
for name in bin lib lib64; do
  if [[ -L /$name ]]; then ln -s "$(readlink "/$name")" "$files/$name"; else mkdir "$files/$name"; fi
done

# put FILE...: copies files to the same paths, without links.
put() {
  local file
  for file in "$@"; do
    mkdir -p "$files$(dirname "$file")"
    cp -L "$file" "$files$file"
  done
}

# The shell's tools, the C compiler and its parts, and Rust.
programs=()
for name in sh cat cp rm mkdir touch find sed env gcc cc as ld ar; do
  program=$(readlink -f "$(command -v "$name")")
  programs+=("$program")
  cp -L "$program" "$files/usr/bin/$name"
done
[[ -e $files/bin/sh ]] || cp "$files/usr/bin/sh" "$files/bin/sh"
gcc_parts=$(dirname "$(gcc -print-libgcc-file-name)")
for part in cc1 collect2 lto-wrapper; do
  part=$(gcc -print-prog-name="$part")
  programs+=("$part")
  put "$part"
done
plugin=$(gcc -print-file-name=liblto_plugin.so)
[[ $plugin != /* ]] || put "$plugin"
mkdir -p "$files$gcc_parts"
cp -rL "$gcc_parts/include" "$files$gcc_parts"
find "$gcc_parts" -maxdepth 1 \( -name 'crt*.o' -o -name 'libgcc*' -o -name 'liblto_plugin.so' \) -exec cp -L {} "$files$gcc_parts" \;
mkdir -p "$files$libc"
for pattern in 'crt*.o' 'Mcrt*.o' 'Scrt*.o' 'gcrt*.o' 'rcrt*.o' 'libc.*' 'libc_nonshared.a' 'libm.*' 'libm-*' 'libmvec.*' \
  'libpthread*' 'libdl*' 'librt*' 'libutil*' 'libresolv*' 'libgcc_s*'; do
  find "$libc/" -maxdepth 1 -name "$pattern" -exec cp -L {} "$files$libc" \;
done
cp -rL /usr/include "$files/usr"
mkdir -p "$files/usr/local/bin" "$files/usr/local/lib"
cp "$sysroot"/bin/{cargo,rustc} "$files/usr/local/bin"
cp -r "$sysroot"/lib/. "$files/usr/local/lib"
programs+=("$sysroot"/bin/{cargo,rustc})

# The libraries that these programs load.
while read -r library; do
  [[ -e $files$library ]] || put "$library"
done < <(ldd "${programs[@]}" 2>/dev/null | grep -o '/[^ )]*' | grep -v ':$' | grep -v "^$sysroot" | sort -u)

# Who trusts which certificates, for the registry of crates.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [[ ! -e $bundle ]] || { put "$bundle"; cp -L "$bundle" "$files/etc/ssl/certs/ca-certificates.crt"; }
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$files/etc/passwd"

tar -C "$files" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'ENV HOME=/root' \
  --change 'LABEL org.opencontainers.image.title=sluicegate-rust' - "$image" >/dev/null
echo "$image"
