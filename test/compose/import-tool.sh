#!/bin/sh
# Makes an image of one program of this machine, with the libraries it loads and nothing else: a stand-in for a registry's.
#
# Usage: import-tool.sh IMAGE PROGRAM [DIRECTORY...]   DIRECTORY: empty directories to create, owned by 65534
set -eu

image=$1 program=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# The directory was created for root alone; the program runs as another user.
chmod 755 "$root"
mkdir -p "$root/tmp" "$root/etc" "$root/bin"
cp -L "$program" "$root/bin/program"
ldd "$program" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
for directory in "$@"; do
  mkdir -p "$root$directory"
  chown 65534:65534 "$root$directory"
done
tar -C "$root" -c . | docker import --change 'ENTRYPOINT ["/bin/program"]' - "$image" >/dev/null
