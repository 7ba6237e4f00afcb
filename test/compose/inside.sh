#!/bin/sh
# The part of run-compose.sh that runs in the namespaces: an engine, the images, the services, the checks, the end.
# First process of its pid namespace. Not for use by itself.
set -eu

repository=$1 scratch=$2 cgroup=$3
shift 3
parts=${*:-"replicas scaling upgrade restart policy metrics volumes managed backends"}
export DOCKER_HOST="unix://$scratch/docker.sock" DOCKER_BUILDKIT=0 COMPOSE_PROJECT_NAME=sluice
export SLUICE_DATA="$scratch/data" SLUICE_POLICY_DIR="$scratch/policy" PROMETHEUS_PORT=19090
files="-f $repository/docker-compose.yml -f $repository/test/compose/rare-health-checks.yml"
compose="docker compose $files --profile demo"
all="$compose --profile observability --profile nats --profile cerbos"
tree=$SLUICE_DATA/merged/tree
version=$(node -p "require('$repository/package.json').version")

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
  name=$1 left=$(($2 * 2)); shift 2
  until "$@" >"$scratch/last" 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "$name" "$(tail -c 600 "$scratch/last")"
    # Most look into a container, by some 0.4 s of processor time.
    sleep 0.5
  done
  ok "$name"
}
# Not by docker compose, which reads its files and asks the engine for everything of the project each time.
consumer="docker exec $COMPOSE_PROJECT_NAME-consumer-1"
in_consumer() { $consumer "$@"; }
in_mount() { docker exec "$COMPOSE_PROJECT_NAME-mount-1" "$@"; }
sluice() { in_mount sluice "$@"; }
# Reads user.sluice.NAME of a file of the merged tree, from the host's side.
tells() { node "$repository/test/compose/read-xattr.mjs" "$tree/$2" "user.sluice.$1"; }

finish() {
  status=$?
  trap - EXIT
  if [ "$status" != 0 ] || [ -n "${KEEP_LOGS:-}" ]; then
    $compose logs --no-color --tail 15 2>/dev/null || true
    [ "$status" = 0 ] || grep -v level=info "$scratch/dockerd.log" | tail -8 || true
  fi
  $all down --volumes --timeout 5 >/dev/null 2>&1 || true
  [ -z "${engine:-}" ] || { kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null; } || true
  exit "$status"
}
trap finish EXIT

# The engine chooses its storage driver: on most disks one that shares layers, where vfs copies the image for each container.
start_engine() {
  ip link set lo up
  mkdir -p /run/docker
  mount -t tmpfs tmpfs /run/docker
  dockerd --data-root "$scratch/engine" --exec-root "$scratch/exec" --pidfile "$scratch/dockerd.pid" -H "$DOCKER_HOST" \
    --cgroup-parent "/$cgroup" >"$scratch/dockerd.log" 2>&1 &
  engine=$!
  eventually "the engine answers" 60 docker version
}

build_image() {
  check "the base image is imported" "$repository/deploy/docker/import-base-images.sh"
  check "the image builds without network" docker build --pull=false --network none --target prebuilt -t sluice:prebuilt \
    -f "$repository/deploy/docker/Dockerfile" "$scratch/context"
  # As in an image that is built from a clone. Without them each of the many programs compiles its code when it starts.
  printf 'FROM sluice:prebuilt\nRUN node /opt/sluice/make-caches.cjs\n' >"$scratch/caches"
  check "caches of its code are made in it" sh -c "docker build --pull=false --network none -t sluice:local - <$scratch/caches"
}

# Meanwhile: nothing needs it before the upgrade.
build_next_image() {
  printf 'FROM sluice:local\nRUN sed -i s/%s/%s-next/ /opt/sluice/chunks/version.js\n' "$version" "$version" >"$scratch/next"
  docker build --pull=false --network none -t sluice:next - <"$scratch/next" >"$scratch/next.log" 2>&1 &
  next=$!
}

# Stand-ins for images of a registry. Programs that this machine lacks are left out, by name.
import_tools() {
  command -v prometheus >/dev/null || echo "left out: prometheus is not installed"
  ! command -v prometheus >/dev/null ||
    check "prometheus has an image" "$repository/test/compose/import-tool.sh" prom/prometheus:v2.53.3 "$(command -v prometheus)" /prometheus
  command -v nats-server >/dev/null || echo "left out: nats-server is not installed"
  ! command -v nats-server >/dev/null ||
    check "nats has an image" "$repository/test/compose/import-tool.sh" nats:2.10 "$(command -v nats-server)"
  check "cerbos has an image" "$repository/test/compose/import-tool.sh" ghcr.io/cerbos/cerbos:0.55.0 \
    "$repository/node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64"
}

make_data() {
  check "the directories are prepared" "$repository/deploy/compose/prepare.sh" "$SLUICE_DATA"
  cp -r "$repository/deploy/compose/policies/rules" "$SLUICE_POLICY_DIR"
  cd "$SLUICE_DATA"
  chmod 0777 upper/upper
  mkdir -p lower/datasets/metered lower/secrets
  chmod 0777 lower/datasets/metered
  echo "from the lower layer" >lower/hello.txt
  echo "counted" >lower/datasets/metered/table.csv
  echo "hidden" >lower/secrets/token
  head -c 4194304 /dev/urandom >lower/big.bin
  chmod -R a+rX lower "$SLUICE_POLICY_DIR"
  cd /
}

look_at_tree() {
  expect "another container sees the merged tree" "^from the lower layer" in_consumer cat /merged/tree/hello.txt
  check "another container writes" in_consumer sh -c 'echo "from the consumer" >/merged/tree/note.txt'
  expect "the write lands in the upper layer, as its writer" "^1000 18" stat -c '%u %s' "$SLUICE_DATA/upper/upper/note.txt"
  check "the lower layer is untouched" test ! -e "$SLUICE_DATA/lower/note.txt"
  expect "a denied open fails with EACCES" "Permission denied" in_consumer cat /merged/tree/secrets/token
  docker exec -d "$COMPOSE_PROJECT_NAME-consumer-1" sh -c 'exec sleep 600 </merged/tree/hello.txt 3</merged/tree/datasets/metered/table.csv'
  eventually "a granted open is in force" 10 sh -c "node $repository/test/compose/read-xattr.mjs $tree/hello.txt user.sluice.mode | grep -q passthrough"
  expect "and it is passthrough" "passthrough" tells mode hello.txt
  expect "a mediated open is not" "^mediated" tells mode datasets/metered/table.csv
  sluice grants /merged/tree --json >"$scratch/grants" 2>&1 || true
  expect "the grants name both" "datasets/metered/table.csv" cat "$scratch/grants"
  expect "with the consumer's uid" '"uid": ?1000' cat "$scratch/grants"
}

# The decider as a whole and each of its two replicas report it.
knows_both_replicas() { replicas_ready 2; }

# Each replica alone carries the mount, which shows that the mount knows and uses both.
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

replicas_ready() { [ "$(sluice status /merged/tree --json | grep -o '"state": *"ready"' | wc -l)" = "$(($1 + 1))" ]; }

look_at_scaling() {
  check "--scale decision=3 is taken" $compose up -d --no-build --pull never --no-recreate --scale decision=3
  eventually "the mount asks all three" 30 replicas_ready 3
  check "the certificates are renewed while all runs" "$repository/deploy/compose/make-certificates.sh" --renew "$SLUICE_DATA/certificates"
  check "and scaled down again" $compose up -d --no-build --pull never --no-recreate --scale decision=2
  eventually "the mount asks the two that are left" 30 replicas_ready 2
  # Its clock started when the certificates were replaced, a while ago.
  eventually "a new connection by the renewed certificates is made" 20 sh -c "docker restart -t 1 \$($compose ps -q decision | head -n 1) >/dev/null && sleep 2 && $consumer sh -c 'echo renewed >/merged/tree/renewed.txt'"
  eventually "and both are asked again" 30 replicas_ready 2
  expect "who shows no certificate gets no answer" "decision-health: decision:50051" in_mount node /opt/sluice/deploy/docker/decision-health.mjs decision:50051
}

# Two programs of a consumer that run while servers come and go, until /tmp/stop exists; any error ends them with BAD.
# The first uses passthrough alone: the same bytes repeatedly, and writes of its own. It writes its progress to /tmp/passes,
# to show that it continues while there is no server.
passing_source='const fs = require("fs"), log = [], fd = fs.openSync("/merged/tree/big.bin"), out = fs.openSync("/merged/tree/passing", "w+");
  const [first, now] = [0, 0].map(() => Buffer.alloc(4194304));
  fs.readSync(fd, first, 0, first.length, 0);
  let count = 0;
  setInterval(() => {
    fs.readSync(fd, now, 0, now.length, 0);
    fs.writeSync(out, Buffer.from(String(count % 10)), 0, 1, count);
    if (!now.equals(first)) { console.log("BAD", count); process.exit(1); }
    fs.writeFileSync("/tmp/passes", String(++count));
    if (!fs.existsSync("/tmp/stop")) return;
    const text = Buffer.alloc(count);
    fs.readSync(out, text, 0, count, 0);
    console.log([...text].every((byte, at) => byte === 48 + at % 10) ? "OK" : "BAD", count);
    process.exit(0);
  }, 50);'
# The second uses everything else: mediated reads and appends on open descriptors, and names created, renamed and removed.
mediated_source='const fs = require("fs"), dir = "/merged/tree/datasets/metered/", fd = fs.openSync(dir + "table.csv"), log = fs.openSync(dir + "log", "a+");
  let count = 0, longest = 0;
  setInterval(() => {
    const begun = Date.now(), text = Buffer.alloc(8);
    fs.readSync(fd, text, 0, 8, 0);
    if (String(text) !== "counted\n") throw new Error("BAD bytes");
    fs.writeSync(log, `${count}\n`);
    fs.writeFileSync("/merged/tree/a", String(count));
    fs.renameSync("/merged/tree/a", "/merged/tree/b");
    if (fs.readFileSync("/merged/tree/b", "utf8") !== String(count)) throw new Error("BAD content");
    fs.rmSync("/merged/tree/b");
    count++;
    longest = Math.max(longest, Date.now() - begun);
    if (!fs.existsSync("/tmp/stop")) return;
    const lines = fs.readFileSync(dir + "log", "utf8").trim().split("\n");
    console.log(lines.length === count && lines.every((line, at) => line === String(at)) ? "OK" : "BAD", count, "longest", longest, "ms");
    process.exit(0);
  }, 20);'

healthy() { docker inspect -f '{{.State.Health.Status}}' "$($compose ps -q "$1")" | grep -qx healthy; }
passes_on() { before=$(in_consumer cat /tmp/passes); sleep 0.5; [ "$(in_consumer cat /tmp/passes)" -gt "$before" ]; }

# Consumers have files open, passthrough and mediated, while the server is recreated: by a version of another name in
# order, and by force.
look_at_upgrade() {
  check "an image of the next version is there" wait "$next"
  in_consumer node -e "$passing_source" >"$scratch/passes" 2>&1 &
  passing=$!
  in_consumer node -e "$mediated_source" >"$scratch/mediated" 2>&1 &
  mediated=$!
  eventually "a writer passes through" 10 sh -c "node $repository/test/compose/read-xattr.mjs $tree/passing user.sluice.mode | grep -q passthrough"
  eventually "another one is mediated" 10 test -s "$SLUICE_DATA/upper/upper/datasets/metered/log"
  keeper=$($compose ps -q keeper)
  check "the server is replaced by the next version" env SLUICE_IMAGE=sluice:next $compose up -d --no-build --pull never --no-deps --force-recreate --wait --wait-timeout 240 mount
  expect "which serves" "$version-next" sluice status /merged/tree --json
  check "the server is killed" docker kill -s KILL "$($compose ps -q mount)"
  check "what passes through goes on without any" passes_on
  check "and the version before is put in its place" $compose up -d --no-build --pull never --no-deps --force-recreate --wait --wait-timeout 240 mount
  expect "which serves" "\"version\": ?\"$version\"" sluice status /merged/tree --json
  expect "the keeper is the same" "^$keeper" $compose ps -q keeper
  in_consumer touch /tmp/stop
  wait "$passing" || true
  wait "$mediated" || true
  expect "what passed through was never wrong" "^OK [0-9]{2,}" cat "$scratch/passes"
  expect "what was mediated waited, and that was all" "^OK [0-9]{2,}" cat "$scratch/mediated"
  echo "   $(cat "$scratch/mediated")"
}

# The mount ends with its keeper; a new keeper clears the remains away.
look_at_restart() {
  keeper=$($compose ps -q keeper)
  check "the keeper is killed" docker kill -s KILL "$keeper"
  eventually "others are told so" 10 sh -c "$consumer cat /merged/tree/hello.txt 2>&1 | grep -Eq 'not connected|Transport endpoint'"
  check "it is started again" docker start "$keeper"
  eventually "a consumer that was there before sees the new mount" 60 sh -c "$consumer cat /merged/tree/hello.txt | grep -q 'from the lower layer'"
  expect "there is one mount, not a pile of them" "^1$" sh -c "grep -c '$tree .* fuse.sluice' /proc/self/mountinfo"
  eventually "and the server is healthy, which came by itself" 120 healthy mount
}

look_at_backends() {
  check "a Cerbos server decides" docker compose $files -f "$repository/deploy/compose/backend-cerbos.yml" up -d --no-build --pull never --wait --wait-timeout 120 decision
  eventually "its denial holds" 20 sh -c "$consumer cat /merged/tree/secrets/token 2>&1 | grep -q denied"
  eventually "its grant holds" 20 in_consumer cat /merged/tree/hello.txt
  check "Cerbos is stopped" $all stop -t 1 cerbos
  eventually "and without it nothing is granted: it was its word" 20 sh -c "! $consumer cat /merged/tree/note.txt"
  look_at_nats
}

# No service could decide before, so each grant comes from the policy in the bucket.
look_at_nats() {
  command -v nats-server >/dev/null || return 0
  nats="docker compose $files -f $repository/deploy/compose/backend-nats.yml"
  check "a policy in a bucket of NATS is taken" $nats up -d --no-build --pull never decision
  eventually "its grant holds" 60 in_consumer cat /merged/tree/note.txt
  expect "its denial holds" "Permission denied" in_consumer cat /merged/tree/secrets/token
  sed -i 's/^default: grant/default: deny/' "$SLUICE_POLICY_DIR/policy.yaml"
  check "an edit is published" $nats up --no-build --pull never publish
  eventually "and holds" 30 sh -c "$consumer cat /merged/tree/note.txt 2>&1 | grep -q denied"
}

volumes="docker compose -p volumes -f $repository/test/compose/volume.yml"
# A container with a volume of either plugin; the places of its mounts match $1.
use_volume() {
  check "compose brings up a container with a volume of the plugin" $volumes up -d --pull never
  expect "it reads the merged tree" "^from the lower layer" docker exec volumes-reader-1 cat /gated/hello.txt
  expect "the policy holds" "Permission denied" docker exec volumes-reader-1 cat /gated/secrets/token
  check "it writes" docker exec volumes-reader-1 sh -c 'echo "from the reader" >/gated/datasets/metered/note'
  expect "docker tells where it is" "$1" docker volume inspect -f '{{.Mountpoint}}' volumes_gated
  expect "a volume in use is not removed" "in use" docker volume rm volumes_gated
}
leave_volume() {
  check "compose takes container and volume down" $volumes down --volumes --timeout 5
  expect "and nothing of it is mounted" "^0$" sh -c "grep -cE '$1.* fuse.sluice' /proc/self/mountinfo"
}

# The plugin runs beside the engine, on the host's side; its sockets lie in the directory that this engine reads.
look_at_volumes() {
  node "$repository/packages/cli/bin/sluice.cjs" volume-plugin --root "$scratch/volumes" >"$scratch/plugin.log" 2>&1 &
  plugin=$!
  eventually "the volume plugin serves" 20 test -S /run/docker/plugins/sluice.sock
  expect "a wrong option is named" "'size' is not an option" docker volume create -d sluice -o lower="$SLUICE_DATA/lower" -o size=1 wrong
  use_volume "^$scratch/volumes/volumes/volumes_gated/merged"
  check "the plugin is killed and started again" sh -c "kill -KILL $plugin"
  node "$repository/packages/cli/bin/sluice.cjs" volume-plugin --root "$scratch/volumes" >>"$scratch/plugin.log" 2>&1 &
  plugin=$!
  eventually "it still knows the volume" 20 sh -c "docker volume inspect -f '{{.Status.users}}' volumes_gated | grep -qx 1"
  expect "and the container reads on" "^from the lower layer" docker exec volumes-reader-1 cat /gated/hello.txt
  leave_volume "$scratch/volumes"
  kill "$plugin"
  wait "$plugin" || true
}

# The same as a plugin that Docker itself runs, made from the image.
look_at_managed() {
  export VOLUME_DRIVER=sluice-managed
  check "a managed plugin is made of the image" env TMPDIR="$scratch" "$repository/deploy/volume-plugin/create.sh" sluice:local "$VOLUME_DRIVER"
  check "and enabled" docker plugin enable --timeout 60 "$VOLUME_DRIVER"
  expect "a wrong option is named" "'size' is not an option" docker volume create -d "$VOLUME_DRIVER" -o lower="$SLUICE_DATA/lower" -o size=1 wrong
  use_volume "/volumes/volumes_gated/merged$"
  place=$(ls -d "$scratch"/engine/plugins/*/propagated-mount/volumes/volumes_gated/merged)
  docker exec -d volumes-reader-1 sh -c 'exec sleep 600 </gated/hello.txt'
  eventually "what is granted passes through" 10 sh -c "node $repository/test/compose/read-xattr.mjs $place/hello.txt user.sluice.mode | grep -q passthrough"
  leave_volume "propagated-mount"
  check "the plugin is removed" sh -c "docker plugin disable $VOLUME_DRIVER && docker plugin rm $VOLUME_DRIVER"
  unset VOLUME_DRIVER
}

# Grafana has no image here: test/monitoring checks its files as data.
look_at_metrics() {
  command -v prometheus >/dev/null || return 0
  check "prometheus comes up" $all up -d --no-build --pull never prometheus
  query() { node "$repository/test/compose/query-prometheus.mjs" "http://127.0.0.1:$PROMETHEUS_PORT" "$@"; }
  check "prometheus scrapes both replicas and the mount" query 'sum(up)' 3 40
  check "decisions are counted" query 'sum(sluice_decisions_total{effect="grant"}) > bool 0' 1 30
}

look_at_policy() {
  sed -i 's/^default: grant/default: deny/' "$SLUICE_POLICY_DIR/policy.yaml"
  eventually "a policy edit takes effect" 20 sh -c "! $consumer cat /merged/tree/note.txt"
  sed -i 's/^default: deny/default: grant/' "$SLUICE_POLICY_DIR/policy.yaml"
  eventually "and back" 20 sh -c "$consumer cat /merged/tree/note.txt"
}

take_down() {
  check "compose goes down" $all down --volumes --remove-orphans --timeout 20
  # Below a directory of the test: the namespace began with a copy of the machine's mounts.
  expect "no FUSE mount is left" "^0$" sh -c "grep -c '$scratch.* - fuse' /proc/self/mountinfo"
  expect "no container is left" "^0$" sh -c "docker ps -aq | wc -l"
  expect "no network is left" "^0$" sh -c "docker network ls -q --filter name=sluice | wc -l"
  expect "no volume is left" "^0$" sh -c "docker volume ls -q | wc -l"
  expect "no service is left running" "^0$" sh -c "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c '[p]ackages/cli/'"
  expect "the upper layer keeps what was written" "from the consumer" cat "$SLUICE_DATA/upper/upper/note.txt"
}

start_engine
build_image
build_next_image
import_tools
make_data
check "compose comes up healthy" $compose up -d --no-build --pull never --wait --wait-timeout 240
look_at_tree
for part in $parts; do "look_at_$part"; done
take_down
