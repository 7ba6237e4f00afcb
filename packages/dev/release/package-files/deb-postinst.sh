#!/bin/sh
set -e

if [ "$1" = configure ]; then
#USERADD#
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
  fi
fi
#CACHES#
