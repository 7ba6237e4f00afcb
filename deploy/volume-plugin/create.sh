#!/bin/sh
# Makes Docker's managed plugin out of the image of Sluice: `docker plugin create` from this directory's config.json and a
# root directory that is the image's. `docker plugin push NAME` puts it into a registry, from where `docker plugin install`
# takes it. Docker gives such a plugin a root directory that only root may enter; the decision service of a volume with a policy
# runs as nobody, so the entry point opens it first.
#
# Usage: create.sh [IMAGE [NAME]]   default: sluice:local sluice. NAME is the driver's, in docker volume create -d NAME
set -eu

image=${1:-sluice:local} name=${2:-sluice}
here=$(cd "$(dirname "$0")" && pwd)

# Beside the engine's own data there may be no room in /tmp for a whole image: TMPDIR says where else.
directory=$(mktemp -d)
container=
clean() {
  [ -z "$container" ] || docker rm -f "$container" >/dev/null 2>&1 || true
  rm -rf "$directory"
}
trap clean EXIT
trap 'clean; exit 130' INT TERM

container=$(docker create --pull never "$image")
mkdir "$directory/rootfs"
docker export "$container" | tar -x --anchored --exclude dev --exclude ./dev -C "$directory/rootfs"
# The mount points of config.json.
mkdir -p "$directory/rootfs/host" "$directory/rootfs/dev" "$directory/rootfs/run/docker/plugins" "$directory/rootfs/var/lib/sluice/volume-plugin"
cp "$here/config.json" "$directory/config.json"
docker plugin create "$name" "$directory" >/dev/null
echo "plugin $name made of $image: docker plugin enable $name"
