#!/bin/sh
# Runs a command in a root directory as in a small machine of its own: its mounts, its processes, and no network.
# Usage: enter-root.sh ROOT COMMAND...   (root)
# pivot_root(2) and not chroot(2): the kernel lets no process in a chroot make a user namespace, which `sluice run` needs.
set -eu
root=$1
shift
if [ "${SLUICE_INSIDE_ROOT:-}" != "$root" ]; then
  export SLUICE_INSIDE_ROOT="$root"
  exec unshare --net --mount --uts --ipc --cgroup --pid --fork --kill-child --propagation private "$0" "$root" "$@"
fi
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
# Devices of its own, since systemd makes names there.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty fuse; do
  touch "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
cd "$root"
pivot_root . .
umount -l .
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
