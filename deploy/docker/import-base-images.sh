#!/bin/sh
# Makes a stand-in for the base image node:20-trixie-slim from Debian packages and imports it into Docker, for machines
# that reach a Debian mirror but no image registry. The stand-in has Node but no npm: it carries the Dockerfile's
# `prebuilt` target, while `build` wants the real image.
#
# Usage: import-base-images.sh [--tar-only]
# The tar is kept in $SLUICE_IMAGE_CACHE, by default ~/.cache/sluice; --tar-only makes it and needs no Docker, so that
# the import can happen later, on a machine without a network.
set -eu

image=node:20-trixie-slim
cache=${SLUICE_IMAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
tar=$cache/node-20-trixie-slim.tar

# The floor of package.json's "engines"; an older Debian snapshot would fail later and less clearly.
check_version='const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'

fail() { echo "import-base-images: $1" >&2; exit 3; }

make_tar() {
  command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
  mkdir -p "$cache"
  # Written aside and renamed: an interrupted run leaves no half tar behind, and two at once do not write one file.
  part=$tar.part.$$.tar
  trap 'rm -f "$part"' EXIT
  trap 'exit 130' INT TERM HUP
  mmdebstrap --quiet --variant=minbase --include=nodejs,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="chroot \"\$1\" node -e '$check_version'" \
    trixie "$part"
  mv "$part" "$tar"
}

[ -s "$tar" ] || make_tar
case ${1:-} in
  --tar-only) exit 0 ;;
  "") ;;
  *) echo "import-base-images: $1: unknown option: the only one is --tar-only" >&2; exit 2 ;;
esac

command -v docker >/dev/null || fail "docker is missing: apt-get install docker.io docker-cli"
docker import "$tar" "$image" >/dev/null
echo "$image imported"
