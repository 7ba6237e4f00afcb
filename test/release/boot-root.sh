#!/bin/sh
# Starts systemd as the first process of a root directory. It ends with this process.
# Usage: boot-root.sh ROOT CONTROL-GROUP   (root)
set -eu
echo $$ >"$2/cgroup.procs"
exec "${0%/*}/enter-root.sh" "$1" env container=sluice-test \
  /usr/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=0
