#!/bin/sh
# Makes the files of mutual TLS between the mount service and the decision services: an authority of your own, and a
# certificate for each of the two, in PEM. Safe to run again: a certificate that is good for 30 more days stays.
#
# Usage: make-certificates.sh [--renew] DIRECTORY
#   DIRECTORY/authority  ca.key, ca.pem: for this script alone; no container gets the key
#   DIRECTORY/decision   ca.pem, cert.pem, key.pem: readable by uid 65532 (SLUICE_DECISION_UID), whom the service runs as
#   DIRECTORY/mount      ca.pem, cert.pem, key.pem
# --renew makes new certificates of the same authority at once. Running services take them up by themselves within
# seconds, for new connections. SLUICE_DECISION_NAMES (default "decision localhost") are the names that a mount may
# reach the decision services by: put the DNS name after dns:/// there. SLUICE_CERTIFICATE_DAYS (default 365).
# Exit codes: 0 done, 2 wrong usage, 3 openssl is missing or failed.
set -eu

say() { echo "make-certificates: $1" >&2; }
renew=
[ "${1:-}" != --renew ] || { renew=1; shift; }
[ $# = 1 ] && [ "${1#-}" = "$1" ] || { say "usage: make-certificates.sh [--renew] DIRECTORY"; exit 2; }
command -v openssl >/dev/null || { say "openssl is missing: apt-get install openssl"; exit 3; }

umask 077
directory=$1
names=${SLUICE_DECISION_NAMES:-decision localhost}
days=${SLUICE_CERTIFICATE_DAYS:-365}
decision_uid=${SLUICE_DECISION_UID:-65532}
mkdir -p "$directory/authority" "$directory/decision" "$directory/mount"
directory=$(cd "$directory" && pwd)
authority=$directory/authority
# Containers enter through these; their parents stay closed.
chmod 755 "$directory" "$directory/decision" "$directory/mount"

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>"$log" || failed "$1"; }
failed() { say "$1: openssl failed: $(tail -n 1 "$log")"; exit 3; }
log=$(mktemp)
trap 'rm -f "$log"; rm -f "$authority"/*.new "$directory"/decision/*.new "$directory"/mount/*.new' EXIT

if [ ! -s "$authority/ca.pem" ]; then
  new_key "$authority/ca.key"
  openssl req -x509 -new -key "$authority/ca.key" -days 3650 -subj "/O=Sluice/CN=Sluice authority" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -out "$authority/ca.pem" 2>"$log" || failed "$authority/ca.pem"
  echo "made $authority/ca.pem"
  renew=1
fi

# issue ROLE SUBJECT_ALTERNATIVE_NAMES OWNER
issue() {
  role=$1 alternative=$2 owner=$3 place=$directory/$1
  # Another list of names makes a new certificate, too.
  if [ -z "$renew" ] && [ "$(cat "$authority/$role.names" 2>/dev/null)" = "$alternative" ] &&
    openssl x509 -in "$place/cert.pem" -noout -checkend 2592000 >/dev/null 2>&1; then
    return 0
  fi
  new_key "$place/key.pem.new"
  openssl req -new -key "$place/key.pem.new" -subj "/O=Sluice/CN=sluice-$role" -out "$authority/$role.csr" 2>"$log" || failed "$role"
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' \
    "$alternative" >"$authority/$role.ext"
  openssl x509 -req -in "$authority/$role.csr" -CA "$authority/ca.pem" -CAkey "$authority/ca.key" -days "$days" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$authority/$role.ext" -out "$place/cert.pem.new" 2>"$log" || failed "$role"
  cp "$authority/ca.pem" "$place/ca.pem.new"
  chmod 444 "$place/ca.pem.new" "$place/cert.pem.new"
  chmod 400 "$place/key.pem.new"
  # As another user the keys are this user's: then run the services as this user.
  [ "$(id -u)" != 0 ] || chown "$owner" "$place"/*.new
  # Renamed, so that no reader sees half a file. Between two renames key and certificate are of different ages: the
  # services go on with those that they have until both have come.
  for file in key.pem cert.pem ca.pem; do mv -f "$place/$file.new" "$place/$file"; done
  printf '%s\n' "$alternative" >"$authority/$role.names"
  rm -f "$authority/$role.csr" "$authority/$role.ext"
  echo "made $place/cert.pem ($alternative)"
}

alternative=URI:spiffe://sluice/decision,IP:127.0.0.1
for name in $names; do alternative="$alternative,DNS:$name"; done
issue decision "$alternative" "$decision_uid"
issue mount "URI:spiffe://sluice/mount" 0
