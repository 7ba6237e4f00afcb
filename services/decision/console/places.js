// The mounts and replicas on the first page, as the mounts that are connected to this replica tell them.
import { bytesPerSecond, micros, moment, percent, since } from "./figures.js";
import { shownText } from "./names.js";
import { element, table, tableRow } from "./server.js";
import { hottestRows, WORK_COLUMNS } from "./work.js";

const at = (id) => document.getElementById(id);
/** A mount tells every two seconds. */
const SILENT_MS = 10_000;
const MOST_REPLICAS = 50;
const MOST_OPERATIONS = 10;

export function list(id, title, columns, rows) {
  at(id).replaceChildren(rows.length === 0 ? element("p", `${title}: none`, "hint") : table(title, columns, rows));
}

function stateOf({ report }) {
  if (report === null) return ["connected", ""];
  if (report.ageMs > SILENT_MS) return [`silent for ${since(Math.round(report.ageMs / 1000))}`, "deny"];
  return ["serving", "grant"];
}

function serverCells(report) {
  const { work = null, server = null } = report ?? {};
  return [
    [work === null ? "–" : bytesPerSecond((work.readBytes + work.writtenBytes) / work.seconds), "number"],
    [server === null ? "–" : percent(server.busy), "number"],
    [server === null ? "–" : micros(server.pauseMs * 1000), "number"],
    [server === null || server.queued === null ? "–" : server.queued, "number"],
  ];
}

function mountRow(each) {
  const { mount, version, since: connected, questions, report } = each;
  const open = report === null ? {} : report.openFiles;
  return tableRow([
    [mount, "path"],
    stateOf(each),
    [questions, "number"],
    [open.passthrough ?? 0, "number"],
    [open.mediated ?? 0, "number"],
    ...serverCells(report),
    [moment(connected), "moment"],
    [version, ""],
  ]);
}

const MOUNT_COLUMNS = [
  "Mount",
  "State",
  "Questions",
  "Open: kernel",
  "Open: mount",
  "Mount's I/O",
  "Busy",
  "Longest pause",
  "Queue",
  "Connected since",
  "Version",
];

/** Of a replica, as a mount calls it. */
const STATES = { ready: "ready", connecting: "connecting", draining: "stopping", backoff: "not reached", closed: "closed" };
export const stateWords = (state) => (Object.hasOwn(STATES, state) ? STATES[state] : state);

export const revisionWords = (revision) => (revision === null ? "–" : `${revision.sequence} ${revision.digest.slice(0, 12)}`);

/** By address: the state of a replica for each mount that knows it. */
function knownReplicas(mounts) {
  const known = new Map();
  for (const { report } of mounts) {
    for (const { address, state, revision } of report?.replicas ?? []) {
      const replica = known.get(address) ?? { address, states: [], revisions: new Set(), isThis: false };
      replica.states.push(state);
      if (revision !== null) replica.revisions.add(revisionWords(revision));
      replica.isThis ||= report.toldTo === address;
      known.set(address, replica);
    }
  }
  return [...known.values()];
}

function replicaState(states) {
  const ready = states.filter((state) => state === "ready").length;
  if (ready === states.length) return ["ready", "grant"];
  if (ready > 0) return [`ready for ${ready} of ${states.length} mounts`, "mediate"];
  return [[...new Set(states.map(stateWords))].join(", "), "deny"];
}

function replicaRow({ address, states, revisions, isThis }) {
  return tableRow([
    [isThis ? `${address} (this replica)` : address, "path"],
    replicaState(states),
    [revisions.size === 0 ? "–" : [...revisions].join(", "), revisions.size > 1 ? "mediate" : ""],
    [states.length, "number"],
  ]);
}

function showReplica({ policy, version, upS }) {
  const refused = policy.refusedEdit === null ? "" : "; the newest edit of the policy does not check";
  at("o-replica").textContent = shownText(
    `This replica: ready, up ${since(upS)}, Sluice ${version}, policy ${policy.id} revision ${policy.sequence}${refused}`,
  );
  at("o-replica").className = policy.refusedEdit === null ? "" : "mediate";
}

/** From the state of the service, which the whole console looks at. */
export function showPlaces(state) {
  const { mounts } = state;
  showReplica(state);
  list("o-mounts", "Mounts", MOUNT_COLUMNS, mounts.map(mountRow));
  const replicas = knownReplicas(mounts);
  const more = replicas.length > MOST_REPLICAS ? `, ${MOST_REPLICAS} of ${replicas.length}` : "";
  const columns = ["Replica", "State", "Policy revision", "Mounts that know it"];
  list("o-replicas", `Replicas that the mounts know${more}`, columns, replicas.slice(0, MOST_REPLICAS).map(replicaRow));
  list("o-work", "Where the time of the mounts goes", ["Mount", ...WORK_COLUMNS], hottestRows(mounts, MOST_OPERATIONS));
}
