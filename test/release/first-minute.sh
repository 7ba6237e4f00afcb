#!/bin/sh
# The first minute of a user: the machine is checked, a mount obeys a policy, a program runs on a copy-on-write view.
# Usage: first-minute.sh SLUICE   a command on PATH, or a path. Prints "ok NAME" for each step.
set -eu
sluice=$1
at=$(mktemp -d /tmp/first-minute-XXXXXX)
chmod 755 "$at"
cd "$at"
mkdir lower upper work merged project
echo hello >lower/greeting
echo key >lower/server.pem
echo before >project/file
cat >policy.yaml <<'END'
version: 1
default: grant
rules: [{ name: private-keys, path: "**/*.pem", effect: deny }]
END

"$sluice" --version
"$sluice" doctor
echo "ok doctor"

"$sluice" policy check policy.yaml
"$sluice" mount --lower lower --upper upper --work work --policy policy.yaml --background --log-file log merged || { cat log; exit 1; }
[ "$(cat merged/greeting)" = hello ]
denied=$(cat merged/server.pem 2>&1) && exit 1
case $denied in *"Permission denied"*) ;; *) echo "$denied"; exit 1 ;; esac
echo changed >merged/greeting
[ "$(cat lower/greeting)" = hello ]
"$sluice" status merged
"$sluice" unmount merged
echo "ok mount with a policy"

cd project
"$sluice" run -- sh -c 'echo after >file; cat file'
[ "$(cat file)" = before ]
"$sluice" sessions | grep "$at/project"
echo "ok run"
