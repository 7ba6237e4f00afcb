#!/bin/sh
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
# /var/lib/sluice has the volumes of users, if there are any.
if [ "$1" = purge ]; then
  if getent passwd sluice-decision >/dev/null; then
    userdel sluice-decision
  fi
  # A mount that somebody made there stays, and rm says so.
  rm -rf --one-file-system /var/log/sluice /run/sluice || true
  [ ! -d /var/lib/sluice ] || find /var/lib/sluice -xdev -depth -type d -empty -delete
  rmdir --ignore-fail-on-non-empty /etc/sluice/mounts /etc/sluice 2>/dev/null || true
fi
