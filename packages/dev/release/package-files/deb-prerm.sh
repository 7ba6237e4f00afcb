#!/bin/sh
set -e

# An upgrade leaves mounts alone: "systemctl reload" lets the new version take over without unmounting.
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke stop 'sluice@*.service' sluice-host.socket sluice-host.service sluice-volume-plugin.service sluice-decision.service || true
fi
# Made by postinst.
find /usr/lib/sluice/chunks -name '*.cache' -delete
