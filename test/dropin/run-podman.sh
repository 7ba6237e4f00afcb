#!/usr/bin/env bash
# podman and buildah with sluice-overlayfs as their mount_program: imports an image, builds on it, runs the result, and
# checks for leftovers. Names each check; exits with 0 if all of them passed. Storage and mounts are its own.
#
#   run-podman.sh [COMMAND…]      as root; COMMAND… runs the rest as another user, who has a home directory
#   run-podman.sh env BY_SERVICE=yes      the mounts are made by a host service
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$here/../../packages/overlayfs-cli/bin/sluice-overlayfs.cjs

if [ "${1:-}" = prepare ]; then
  # crun accepts only cgroup v2, which a machine with both has beside the other.
  if ! grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts; then
    umount -l /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
  fi
  # crun gives the standard files of a container to its root, and one of them is /dev/null: not the machine's.
  mkdir "$2/own-dev"
  mount -t tmpfs -o mode=755 tmpfs "$2/own-dev"
  mknod -m 666 "$2/own-dev/null" c 1 3
  mount --bind "$2/own-dev/null" /dev/null
  umount --lazy "$2/own-dev"
  exec "${@:3}" "$0" inside "$2"
fi
# Runs in a mount namespace of its own: nobody else sees its mounts, and they end with it.
if [ "${1:-}" != inside ]; then
  scratch=$(mktemp -d)
  # A container with mapped ids must be able to walk in.
  chmod 755 "$scratch"
  unshare --mount --propagation private "$0" prepare "$scratch" "$@"
  status=$?
  rm -rf --one-file-system "$scratch"
  exit $status
fi
scratch=$2
failed=0
# The start of the range for the image's ids in a container that maps them: any, but in a user namespace one of its own.
mapping=(--uidmap 0:100000:65536 --gidmap 0:200000:65536)
if [ "$(id -u)" != 0 ]; then
  scratch=$HOME/podman
  mkdir "$scratch"
  # A container with mapped ids must be able to walk in.
  chmod 755 "$HOME"
  mapping=(--uidmap 0:1:5000 --gidmap 0:2:5000)
fi

ok() { echo "ok $1"; }
bad() {
  echo "FAILED $1"
  failed=1
}
# check NAME COMMAND…: COMMAND must succeed; its output is shown if it fails.
check() {
  local name=$1
  shift
  if "$@" >"$scratch/said" 2>&1; then ok "$name"; else bad "$name" && tail -n 20 "$scratch/said"; fi
}
# same NAME EXPECTED COMMAND…: COMMAND must print EXPECTED.
same() {
  local name=$1 expected=$2 said
  shift 2
  said=$("$@" 2>"$scratch/said") && [ "$said" = "$expected" ] && ok "$name" && return
  bad "$name"
  echo "expected: $expected"
  echo "printed:  $said"
  tail -n 20 "$scratch/said"
}

cat >"$scratch/storage.conf" <<END
[storage]
driver = "overlay"
runroot = "$scratch/run"
graphroot = "$scratch/graph"
[storage.options.overlay]
mount_program = "$scratch/mount-program"
END
service=off
if [ "${BY_SERVICE:-no}" = yes ]; then
  service=$scratch/host.sock
  "$here/../../packages/cli/bin/sluice.cjs" serve --socket "$service" --log-file "$scratch/log" --log-level warn >/dev/null &
  server=$!
  trap 'kill "$server" 2>/dev/null' EXIT
  for _ in $(seq 100); do [ -S "$service" ] || sleep 0.1; done
fi
# Its log lies beside the rest; podman shows its errors.
printf '#!/bin/sh\nexec %s -o log=%s/log,host_service=%s "$@"\n' "'$program'" "$scratch" "$service" >"$scratch/mount-program"
chmod 755 "$scratch/mount-program"
export CONTAINERS_STORAGE_CONF=$scratch/storage.conf PODMAN_IGNORE_CGROUPSV1_WARNING=1 TMPDIR=$scratch
# A user without CAP_SYS_RESOURCE cannot raise them.
limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit "nproc=$(ulimit -Hu):$(ulimit -Hu)")
[[ ${limits[3]} == *unlimited* ]] && limits=("${limits[@]:0:2}")
run=(podman run --rm --network=none --cgroups=disabled "${limits[@]}")

# An image of this machine's own shell and tools.
base() {
  local root=$scratch/root tool path
  mkdir -p "$root"/{bin,etc,tmp,var/lib/many}
  for tool in sh cat ls mkdir mv rm chown stat cp ln touch id grep find sort; do
    path=$(readlink -f "$(command -v "$tool")")
    cp "$path" "$root/bin/$tool"
    ldd "$path" | grep -o '/[^ ]*' || true
  done | sort -u | while read -r path; do
    mkdir -p "$root$(dirname "$path")"
    cp -L "$path" "$root$path"
  done
  echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  for path in 1 2 3 4 5; do echo "$path" >"$root/var/lib/many/$path"; done
  tar -C "$root" --owner=0 --group=0 -cf "$scratch/base.tar" .
}

mkdir "$scratch/context"
echo payload >"$scratch/context/file"
cat >"$scratch/context/Dockerfile" <<'END'
FROM localhost/base:1
COPY file /data/file
RUN echo one >/data/one && mkdir -p /data/dir/sub && echo deep >/data/dir/sub/deep && chown 7:8 /data/dir/sub/deep
RUN rm /data/one /var/lib/many/2 && mv /data/dir /data/moved && ln -s file /data/link && echo changed >/var/lib/many/3
RUN rm -r /var/lib/many && mkdir /var/lib/many && echo new >/var/lib/many/new
RUN mv /data/moved /data/again && ln /data/file /data/hard && chown 1000:1000 /data/file
CMD ["/bin/cat", "/data/again/sub/deep"]
END

base
check "podman imports a root file system" podman import -q "$scratch/base.tar" base:1
same "a container's root is a Sluice mount" "sluice / fuse.sluice" "${run[@]}" base:1 /bin/sh -c \
  'while read -r source at type rest; do if [ "$at" = / ]; then echo "$source $at $type"; fi; done </proc/mounts'
check "podman builds on it in six steps" podman build "${limits[@]}" --network=none --no-cache -t built:1 "$scratch/context"
same "what was built runs" deep "${run[@]}" built:1
same "what a step removed is gone, what it renamed is whole" "/data/again/sub/deep /data/file /data/hard /data/link /var/lib/many/new" \
  "${run[@]}" built:1 /bin/sh -c 'echo $(find /data /var/lib/many ! -type d | sort)'
same "owners and links are those of the steps" "7:8 1000:1000 2" \
  "${run[@]}" built:1 /bin/sh -c 'echo $(stat -c %u:%g /data/again/sub/deep /data/file) $(stat -c %h /data/hard)'

changed=(podman run --name changed "${run[@]:3}")
check "a container changes its root" "${changed[@]}" built:1 /bin/sh -c 'echo mine >/etc/mine && rm -r /data && mv /etc/group /etc/moved'
same "podman sees what it changed" "A /etc/mine A /etc/moved C /etc D /data D /etc/group" \
  sh -c 'echo $(podman diff changed | grep -E "^[ACD] /(etc|data)" | sort)'
check "podman commits it" podman commit -q changed changed:1
same "its changes are in the image" "/etc/mine /etc/moved /etc/passwd" "${run[@]}" changed:1 /bin/sh -c 'echo $(find /data /etc -type f 2>/dev/null | grep -v -e host -e resolv | sort)'
check "podman removes it" podman rm changed

mapped=("${run[@]}" "${mapping[@]}")
same "with ids mapped, owners are the image's" "7:8 1000:1000 0:0" \
  "${mapped[@]}" built:1 /bin/sh -c 'touch /new; echo $(stat -c %u:%g /data/again/sub/deep /data/file /new)'

check "buildah makes a container" buildah from --isolation=chroot "${limits[@]}" --name work localhost/base:1
check "buildah runs in it" buildah run --isolation=chroot work /bin/sh -c 'rm /var/lib/many/1 && mkdir /srv && echo b >/srv/b && mv /var/lib/many /srv/many'
check "buildah copies into it" buildah copy work "$scratch/context/file" /srv/file
check "buildah commits it" buildah commit -q work made:1
check "buildah removes it" buildah rm work
same "what buildah made runs" "/srv/b /srv/file /srv/many/2 /srv/many/3 /srv/many/4 /srv/many/5" "${run[@]}" made:1 /bin/sh -c 'echo $(find /srv -type f | sort)'
check "podman removes the images" podman rmi -af
# Ends the process that keeps an ordinary user's namespaces.
[ "$(id -u)" = 0 ] || podman system migrate

sleep 1
same "no mount is left" "" sh -c "grep ' $scratch/' /proc/mounts || true"
same "no server is left" "" sh -c "pgrep -f '[s]erve-main.js $scratch/log' || true"
if [ "$service" != off ]; then check "the host service ends in order" sh -c "kill $server && while kill -0 $server; do sleep 0.1; done 2>/dev/null"; fi
same "the servers had nothing to complain of" "" cat "$scratch/log"
[ "$failed" = 0 ]
