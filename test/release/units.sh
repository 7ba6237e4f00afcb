#!/bin/sh
# The units of the package under systemd itself: they are disabled, start, serve with the rights that they state, reload without
# an unmount, and go with the package. Usage: units.sh DEB   Prints "ok NAME" for each step.
set -eu

# Waits for a unit that runs. If it has ended, so does the test.
wait_for() {
  systemctl is-active --quiet "$1" || { systemctl status --no-pager "$1"; exit 1; }
  sleep 0.1
}

units=/usr/lib/systemd/system
dpkg -i "$1"
problems=$(systemd-analyze verify $units/sluice-decision.service $units/sluice-volume-plugin.service $units/sluice-host.service $units/sluice-host.socket $units/sluice@models.service 2>&1)
[ -z "$problems" ] || { echo "$problems"; exit 1; }
for unit in sluice-decision sluice-volume-plugin sluice-host.service sluice-host.socket sluice@models; do [ "$(systemctl is-enabled $unit)" = disabled ]; done
echo "ok verify"

mkdir -p /srv/models /srv/view/models
echo hello >/srv/models/greeting
echo key >/srv/models/server.pem
cp /usr/share/doc/sluice/examples/models.env /etc/sluice/mounts/
systemctl start sluice-decision sluice@models
# The decision service may still be loading its policy.
until [ "$(cat /srv/view/models/greeting 2>/dev/null)" = hello ]; do wait_for sluice-decision; done
denied=$(cat /srv/view/models/server.pem 2>&1) && exit 1
case $denied in *"Permission denied"*) ;; *) echo "$denied"; exit 1 ;; esac
echo "ok serve"

decision=/proc/$(systemctl show --property MainPID --value sluice-decision)
[ "$(stat -c %U "$decision")" = sluice-decision ]
grep -qE '^CapEff:\s*0+$' "$decision/status"
grep -qE '^NoNewPrivs:\s*1$' "$decision/status"
grep -qE '^Seccomp:\s*2$' "$decision/status"
echo "ok rights"

server() { sluice status --json /srv/view/models | grep -m 1 '"pid"'; }
before=$(server)
exec 3</srv/view/models/greeting
systemctl reload sluice@models
[ "$(server)" != "$before" ]
[ "$(cat <&3)" = hello ]
exec 3<&-
echo "ok reload"

systemctl start sluice-volume-plugin
until [ -S /run/docker/plugins/sluice.sock ]; do wait_for sluice-volume-plugin; done
echo "ok volume plugin"

systemctl start sluice-host.socket
mkdir -p /srv/view/hosted
sluice mount --host-service auto --background --lower /srv/models /srv/view/hosted | grep -q 'by the host service'
[ "$(cat /srv/view/hosted/greeting)" = hello ]
echo "ok host service"

# The user's own file.
rm /etc/sluice/mounts/models.env
dpkg --purge sluice
for view in models hosted; do if mountpoint -q /srv/view/$view; then exit 1; fi; done
for unit in sluice-decision sluice-volume-plugin sluice-host.service sluice-host.socket sluice@models; do if systemctl is-active $unit; then exit 1; fi; done
if getent passwd sluice-decision; then exit 1; fi
left=$(find / -xdev -name '*sluice*' -not -path '/proc/*' -not -path '/opt/*' -not -path '/var/log/journal/*')
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
echo "ok purge"
