# An upgrade leaves mounts alone: "systemctl reload" lets the new version take over without unmounting.
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
  systemctl stop 'sluice@*.service' sluice-host.socket sluice-host.service sluice-volume-plugin.service sluice-decision.service || true
fi
# Made after the installation.
if [ "$1" = 0 ]; then
  find /usr/lib/sluice/chunks -name '*.cache' -delete
fi
