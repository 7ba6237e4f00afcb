// Where the time of a mount's server goes, as its last two reports tell: requests by operation, pauses, and the queue.
import { bytesPerSecond, micros, percent, perSecond } from "./figures.js";
import { tableRow } from "./server.js";

export const WORK_COLUMNS = ["Operation", "Requests", "Errors", "Time", "Mean", "Longest"];

const timeOf = ({ work }) => (work === null ? 0 : work.operations.reduce((sum, { tookUs }) => sum + tookUs, 0));

function cells({ operation, count, errors, tookUs, worstUs }, seconds, allUs) {
  return [
    [operation, ""],
    [perSecond(count / seconds), "number"],
    [perSecond(errors / seconds), "number"],
    [percent(allUs === 0 ? 0 : tookUs / allUs), "number"],
    [micros(tookUs / count), "number"],
    [worstUs === null ? "–" : micros(worstUs), "number"],
  ];
}

/** Of one mount, the operation with the most time first. */
export function workRows(report) {
  if (report.work === null) return [];
  const { operations, seconds } = report.work;
  return operations.map((each) => tableRow(cells(each, seconds, timeOf(report))));
}

/** Of all mounts together, each row with its mount before. */
export function hottestRows(mounts, most) {
  const told = mounts.filter(({ report }) => report !== null && report.work !== null);
  const allUs = told.reduce((sum, { report }) => sum + timeOf(report), 0);
  const all = told.flatMap(({ mount, report: { work } }) => work.operations.map((each) => ({ mount, each, seconds: work.seconds })));
  const hottest = all.sort((one, other) => other.each.tookUs - one.each.tookUs).slice(0, most);
  return hottest.map(({ mount, each, seconds }) => tableRow([[mount, "path"], ...cells(each, seconds, allUs)]));
}

/** Bytes that the mount moved itself. */
export function movedWords({ work }) {
  if (work === null) return "not told";
  return `${bytesPerSecond(work.readBytes / work.seconds)} read, ${bytesPerSecond(work.writtenBytes / work.seconds)} written`;
}

/** The server measures itself while somebody looks, so the first report lacks it. */
export function serverWords({ server }) {
  if (server === null) return "measured within some seconds, while a page of this console is open";
  const queue = server.queued === null ? "" : `; at most ${server.queued} requests in the kernel's queue`;
  const shares = `${percent(server.busy)} busy, ${percent(server.collecting)} garbage collection`;
  return `${shares}, longest pause ${micros(server.pauseMs * 1000)}${queue}`;
}
