#!/bin/sh
# The part of run-compose.sh that runs in the namespaces: an engine, the images, the services, the checks, the end.
# First process of its pid namespace. Not for use by itself.
set -eu

repository=$1 scratch=$2 cgroup=$3
export DOCKER_HOST="unix://$scratch/docker.sock" DOCKER_BUILDKIT=0 COMPOSE_PROJECT_NAME=sluice
export SLUICE_DATA="$scratch/data" SLUICE_POLICY_DIR="$scratch/policy"
compose="docker compose -f $repository/docker-compose.yml --profile demo"
tree=$SLUICE_DATA/merged/tree

ok() { echo "ok $1"; }
fail() { echo "FAILED $1${2:+: $2}" >&2; exit 1; }
# check NAME COMMAND...: the command succeeds
check() { name=$1; shift; "$@" >"$scratch/last" 2>&1 || fail "$name" "$(tail -c 600 "$scratch/last")"; ok "$name"; }
# expect NAME PATTERN COMMAND...: its output, errors included, matches
expect() {
  name=$1 pattern=$2; shift 2
  "$@" >"$scratch/last" 2>&1 || true
  grep -qE -- "$pattern" "$scratch/last" || fail "$name" "wanted /$pattern/, got: $(tail -c 600 "$scratch/last")"
  ok "$name"
}
# eventually NAME SECONDS COMMAND...
eventually() {
  name=$1 left=$(($2 * 5)); shift 2
  until "$@" >"$scratch/last" 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "$name" "$(tail -c 600 "$scratch/last")"
    sleep 0.2
  done
  ok "$name"
}
in_consumer() { $compose exec -T consumer "$@"; }
in_mount() { $compose exec -T mount "$@"; }
sluice() { in_mount node /opt/sluice/packages/cli/bin/sluice.mjs "$@"; }
# Reads user.sluice.NAME of a file of the merged tree, from the host's side.
tells() { node "$repository/test/compose/read-xattr.mjs" "$tree/$2" "user.sluice.$1"; }

finish() {
  status=$?
  trap - EXIT
  if [ "$status" != 0 ] || [ -n "${KEEP_LOGS:-}" ]; then
    $compose logs --no-color --tail 15 2>/dev/null || true
    [ "$status" = 0 ] || grep -v level=info "$scratch/dockerd.log" | tail -8 || true
  fi
  $compose down --timeout 5 >/dev/null 2>&1 || true
  [ -z "${engine:-}" ] || { kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null; } || true
  exit "$status"
}
trap finish EXIT

start_engine() {
  ip link set lo up
  mkdir -p /run/docker
  mount -t tmpfs tmpfs /run/docker
  dockerd --data-root "$scratch/engine" --exec-root "$scratch/exec" --pidfile "$scratch/dockerd.pid" -H "$DOCKER_HOST" \
    --storage-driver vfs --cgroup-parent "/$cgroup" >"$scratch/dockerd.log" 2>&1 &
  engine=$!
  eventually "the engine answers" 60 docker version
}

build_image() {
  check "the base image is imported" "$repository/deploy/docker/import-base-images.sh"
  check "the image builds without network" docker build --pull=false --network none --target prebuilt -t sluice:local \
    -f "$repository/deploy/docker/Dockerfile" "$scratch/context"
}

make_data() {
  check "the directories are prepared" "$repository/deploy/compose/prepare.sh" "$SLUICE_DATA"
  cp -r "$repository/deploy/compose" "$SLUICE_POLICY_DIR"
  cd "$SLUICE_DATA"
  chmod 0777 upper/upper
  mkdir -p lower/datasets/metered lower/secrets
  echo "from the lower layer" >lower/hello.txt
  echo "counted" >lower/datasets/metered/table.csv
  echo "hidden" >lower/secrets/token
  chmod -R a+rX lower "$SLUICE_POLICY_DIR"
  cd /
}

look_at_tree() {
  expect "another container sees the merged tree" "^from the lower layer" in_consumer cat /merged/tree/hello.txt
  check "another container writes" in_consumer sh -c 'echo "from the consumer" >/merged/tree/note.txt'
  expect "the write lands in the upper layer, as its writer" "^1000 18" stat -c '%u %s' "$SLUICE_DATA/upper/upper/note.txt"
  check "the lower layer is untouched" test ! -e "$SLUICE_DATA/lower/note.txt"
  expect "a denied open fails with EACCES" "Permission denied" in_consumer cat /merged/tree/secrets/token
  $compose exec -T -d consumer sh -c 'exec sleep 600 </merged/tree/hello.txt 3</merged/tree/datasets/metered/table.csv'
  eventually "a granted open is in force" 10 sh -c "node $repository/test/compose/read-xattr.mjs $tree/hello.txt user.sluice.mode | grep -q passthrough"
  expect "and it is passthrough" "passthrough" tells mode hello.txt
  expect "a mediated open is not" "^mediated" tells mode datasets/metered/table.csv
  expect "the grants name both" "datasets/metered/table.csv" sluice grants /merged/tree --json
  expect "with the consumer's uid" '"uid": ?1000' sluice grants /merged/tree --json
}

# The decider as a whole and each of its two replicas say so of themselves.
knows_both_replicas() { [ "$(sluice status /merged/tree --json | grep -o '"state": *"ready"' | wc -l)" = 3 ]; }

# Each replica alone carries the mount: so both are known to it and both are used.
look_at_replicas() {
  expect "there are two decision replicas" "^2$" sh -c "$compose ps -q decision | wc -l"
  eventually "the mount talks to both" 20 knows_both_replicas
  for index in 1 2; do
    victim=$($compose ps -q --index "$index" decision 2>/dev/null || $compose ps -q decision | sed -n "${index}p")
    check "replica $index is stopped" docker kill "$victim"
    check "opens are decided without replica $index" in_consumer sh -c "echo again >/merged/tree/without-$index.txt"
    expect "and denied where they must be" "Permission denied" in_consumer cat /merged/tree/secrets/token
    check "replica $index is started" docker start "$victim"
    eventually "replica $index is healthy again" 40 sh -c "docker inspect -f '{{.State.Health.Status}}' $victim | grep -qx healthy"
    eventually "the mount has found it again" 40 knows_both_replicas
  done
}

edit_policy() {
  sed -i 's/^default: grant/default: deny/' "$SLUICE_POLICY_DIR/policy.yaml"
  eventually "a policy edit takes effect" 20 sh -c "! $compose exec -T consumer cat /merged/tree/note.txt"
  sed -i 's/^default: deny/default: grant/' "$SLUICE_POLICY_DIR/policy.yaml"
  eventually "and back" 20 sh -c "$compose exec -T consumer cat /merged/tree/note.txt"
}

take_down() {
  check "compose goes down" $compose down --timeout 20
  # Below our own directory: the namespace began with a copy of the machine's mounts, whatever they were.
  expect "no FUSE mount is left" "^0$" sh -c "grep -c '$scratch.* - fuse' /proc/self/mountinfo"
  expect "no container is left" "^0$" sh -c "docker ps -aq | wc -l"
  expect "no service is left running" "^0$" sh -c "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'cli/bin/[s]luice.mjs'"
  expect "the upper layer keeps what was written" "from the consumer" cat "$SLUICE_DATA/upper/upper/note.txt"
}

start_engine
build_image
make_data
check "compose comes up healthy" $compose up -d --no-build --pull never --wait --wait-timeout 120
look_at_tree
look_at_replicas
edit_policy
take_down
