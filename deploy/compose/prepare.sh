#!/bin/sh
# Makes the directories that docker-compose.yml binds, shares the mount point's parent, so that the tree mounted in a
# container is seen outside of it, and makes the certificates that the services know each other by
# (make-certificates.sh, beside this file). Safe to run again. Needs root for the mount.
#
# Usage: prepare.sh [DATA_DIRECTORY]   default: $SLUICE_DATA, else /var/lib/sluice
set -eu

[ "$(id -u)" = 0 ] || { echo "prepare: it binds a directory onto itself: run this as root" >&2; exit 3; }

data=${1:-${SLUICE_DATA:-/var/lib/sluice}}
mkdir -p "$data/lower" "$data/upper/upper" "$data/upper/work" "$data/merged/tree"
data=$(cd "$data" && pwd)

if ! mountpoint -q "$data/merged"; then
  mount --bind "$data/merged" "$data/merged" || { echo "prepare: $data/merged: cannot bind it onto itself: run this as root of the machine" >&2; exit 3; }
fi
# Without it Docker refuses rshared with "is not a shared mount".
mount --make-rshared "$data/merged"
"$(dirname "$0")/make-certificates.sh" "$data/certificates"
echo "prepared $data"
