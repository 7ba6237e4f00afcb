// The mounts connected: how each is made, what of it may pass through, and what it has open.
import { moment } from "./figures.js";
import { revisionWords, stateWords } from "./places.js";
import { element, fill, table, tableRow } from "./server.js";
import { movedWords, serverWords, WORK_COLUMNS, workRows } from "./work.js";

const at = (id) => document.getElementById(id);
const EFFECT_OF = { passthrough: "grant", mediated: "mediate" };
/** What is drawn stays, so that it keeps its focus and what was folded up; only its content is new each time. */
const drawn = new Map();

const layerRow = ({ name, path, fileSystem, stackDepth, passthrough, reason }) =>
  tableRow([
    [name, ""],
    [path, "path"],
    [fileSystem, ""],
    [stackDepth ?? "unknown", "number"],
    passthrough ? ["eligible", "reason grant"] : [reason, "reason mediate"],
  ]);

const grantRow = ({ path, layer, flow, write, uid, pid, rule, since, now }) =>
  tableRow([
    [path, "path"],
    [layer, ""],
    [flow, EFFECT_OF[flow] ?? ""],
    [write ? "read, write" : "read", ""],
    [uid, "number"],
    [pid, "number"],
    [rule, ""],
    [moment(since), "moment"],
    now === "grant" ? ["in force", ""] : [`revoked: now ${now}`, "deny"],
  ]);

const replicaRow = ({ address, state, revision }, toldTo) =>
  tableRow([
    [address === toldTo ? `${address} (this replica)` : address, "path"],
    [stateWords(state), state === "ready" ? "grant" : "deny"],
    [revisionWords(revision), ""],
  ]);

const some = (shown, all, what) => {
  const counted = `${all} ${what}${all === 1 ? "" : "s"}`;
  return shown === all ? counted : `${shown} of ${counted}`;
};

function summary(report) {
  const { engine, protocol, transport, passthrough, openFiles, at: told } = report;
  const made = document.createElement("dl");
  const say = (term, text) => made.append(element("dt", term), element("dd", text));
  say("Engine", `${engine}, FUSE ${protocol}, requests by ${transport}; passthrough ${passthrough ? "on" : "off"}`);
  const open = Object.entries(openFiles).map(([flow, count]) => `${count} ${flow}`);
  say("Open files", open.length === 0 ? "none" : open.join(", "));
  say("I/O of the mount", movedWords(report));
  say("Server", serverWords(report));
  say("Told", moment(told));
  return made;
}

/** A table, or its title alone if it is empty. */
const tableOf = (title, columns, rows) => (rows.length === 0 ? element("p", `${title}: none`) : table(title, columns, rows));

function described(report) {
  const { layers, layerCount, grants, grantCount, replicas, replicaCount, toldTo } = report;
  return [
    summary(report),
    tableOf("Where the time goes: requests since the report before", WORK_COLUMNS, workRows(report)),
    tableOf(
      `Replicas that the mount knows: ${some(replicas.length, replicaCount, "replica")}`,
      ["Replica", "State", "Policy revision"],
      replicas.map((each) => replicaRow(each, toldTo)),
    ),
    tableOf(
      `Layers, the topmost first: ${some(layers.length, layerCount, "layer")}`,
      ["Layer", "Place", "File system", "Stack depth", "Passthrough"],
      layers.map(layerRow),
    ),
    tableOf(
      `Grants in force, the newest first: ${some(grants.length, grantCount, "open")}`,
      ["Path", "Layer", "Flow", "Access", "uid", "pid", "Rule", "Since", "Policy now"],
      grants.map(grantRow),
    ),
  ];
}

function newPart(mount) {
  const details = document.createElement("details");
  details.open = true;
  const content = document.createElement("div");
  details.append(element("summary", mount, "path"), content);
  return { details, content };
}

function contentOf({ version, since, questions, report }) {
  const connected = `Sluice ${version}, connected since ${moment(since)}, ${questions} questions`;
  const told =
    report === null
      ? [element("p", "It has not told yet what it is made of; one of an older version does not.", "hint")]
      : described(report);
  return [element("p", connected, "hint"), ...told];
}

export function showMounts(mounts) {
  const list = at("mount-list");
  const keyed = new Map(mounts.map((mount) => [`${mount.since} ${mount.mount}`, mount]));
  for (const [key, { details }] of drawn) {
    if (keyed.has(key)) continue;
    details.remove();
    drawn.delete(key);
  }
  for (const [key, mount] of keyed) {
    const part = drawn.get(key) ?? newPart(mount.mount);
    if (!drawn.has(key)) list.append(part.details);
    drawn.set(key, part);
    fill(part.content, contentOf(mount));
  }
  at("no-mounts").hidden = mounts.length > 0;
}
