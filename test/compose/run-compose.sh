#!/bin/sh
# Starts docker-compose.yml on a Docker Engine of its own, and checks it from a second container. The engine runs in its
# own network, mount and pid namespace. So it touches no engine of the machine, and nothing of it can outlive this
# script: the end of the namespace's first process ends every process and mount in it.
#
# Usage: run-compose.sh [PART...]   (root; a built checkout)   exit 0: all checks passed, 1: one failed, 3: something is missing
# PART: upgrade, restart, or another look_at_PART of inside.sh; all of them if omitted.
# Prints `ok NAME` for each check. KEEP_LOGS=1 shows the services' logs even after success.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)

for tool in dockerd docker unshare ip mountpoint node; do
  command -v "$tool" >/dev/null || { echo "run-compose: $tool is missing: apt-get install docker.io docker-cli docker-compose iproute2" >&2; exit 3; }
done
docker compose version >/dev/null 2>&1 || { echo "run-compose: docker compose is missing: apt-get install docker-compose" >&2; exit 3; }
[ "$(id -u)" = 0 ] || { echo "run-compose: needs root: dockerd mounts" >&2; exit 3; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/sluice-compose-XXXXXX")
cgroup=$(basename "$scratch")
# The volume plugin's mounts read their policy as nobody.
chmod 711 "$scratch"

# Containers' cgroups are empty once the namespace is gone; the engine makes one tree a controller and leaves it.
remove_cgroups() {
  for tree in $(find /sys/fs/cgroup -maxdepth 3 -type d -name "$cgroup" 2>/dev/null); do
    find "$tree" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}
clean() {
  trap - EXIT INT TERM
  [ -z "${inside:-}" ] || { kill -KILL "$inside" 2>/dev/null || true; wait "$inside" 2>/dev/null || true; }
  remove_cgroups
  rm -rf "$scratch"
}
trap clean EXIT
trap 'clean; exit 130' INT TERM

# Steps that need the network or are slow run outside; inside there is only loopback.
"$repository/deploy/docker/import-base-images.sh" --tar-only
node "$repository/deploy/docker/collect-runtime.mjs" "$scratch/context"

unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
  "$here/inside.sh" "$repository" "$scratch" "$cgroup" "$@" &
inside=$!
status=0
wait "$inside" || status=$?
inside=
[ "$status" = 0 ] || exit "$status"

! grep -qs "$scratch" /proc/self/mountinfo || { echo "FAILED no mount is left on the machine" >&2; exit 1; }
! grep -aqs "$scratch" /proc/[0-9]*/cmdline || { echo "FAILED no process is left on the machine" >&2; exit 1; }
echo "ok nothing is left on the machine"
