#!/bin/sh
set -e

if [ "$1" = configure ]; then
#USERADD#
  if [ -d /run/systemd/system ]; then
    deb-systemd-invoke daemon-reload || true
  fi
fi
