/** `sluice explain`: why a path of a running mount would be granted, mediated or denied, without opening it. */
import { lstatSync, realpathSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { ALL_ACCESSES } from "@sluice/decision-api";
import { codeOf, escapeLine, escapeTextName, unfit, wrong } from "@sluice/runtime/cli";
import { type Command, Option } from "commander";
import { askOnce, type ExplainRequest, type Explanation, mountOf, readMountTable } from "@sluice/mount-control";
import { toBytes } from "@sluice/native";

interface ExplainArguments {
  access: ExplainRequest["accesses"];
  uid?: string;
  gid?: string;
  group?: string[];
  executable?: string;
  cgroup?: string;
  json?: boolean;
  control?: string;
}

/** The last name is taken as it is: a link would be opened by what it leads to, and that has another path. */
function realPath(path: string): string {
  const full = resolve(path);
  try {
    return realpathSync.native(full);
  } catch {
    // It is a link into nothing, or not there: the daemon says so.
  }
  try {
    return full === "/" ? full : join(realpathSync.native(dirname(full)), basename(full));
  } catch (error) {
    throw unfit(path, `it cannot be reached (${codeOf(error)})`, "correct the path");
  }
}

function locate(path: string): { mountpoint: string; below: string } {
  const real = realPath(path);
  const row = mountOf(real, readMountTable());
  if (row === undefined || !row.type.startsWith("fuse")) {
    throw unfit(path, "it does not lie on a mount of Sluice", "name a file below one: see 'findmnt -t fuse.sluice'");
  }
  if (lstatSync(real, { throwIfNoEntry: false }) === undefined) {
    throw unfit(path, "there is no such file (ENOENT)", "name a file that exists, or use 'sluice policy explain', which needs none");
  }
  return { mountpoint: row.mountpoint, below: relative(row.mountpoint, real) };
}

function id(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw wrong(`${option} ${text}`, "it is not a whole number", "write one");
  return Number(text);
}

function scopeLine({ scope, revision, source }: Explanation): string {
  // What a mount keeps is found by its scope, and does not say it.
  if (scope === null && source === "cache")
    return "holds for this: an answer that the mount keeps; 'sluice policy explain' says for what else";
  if (scope === null) return "for this question alone: it is asked each time";
  const place =
    scope.subtree === null ? "for this file" : `for all of '${scope.subtree === "" ? "/" : `${escapeTextName(scope.subtree)}/`}'`;
  const looked = [...scope.subject, ...scope.resource, ...scope.xattrs].join(", ");
  const same = looked === "" ? "whoever asks" : `while these are the same: ${looked}`;
  const ttl = scope.ttlMs === null ? "" : `, for ${scope.ttlMs} ms`;
  return `${place}, ${same}${ttl}, as long as revision ${revision.sequence} (${revision.digest.slice(0, 12)}) is in force`;
}

function openedLine({ effect, errno, opened }: Explanation): string {
  if (effect === "deny") return `not at all: ${errno ?? "EACCES"}`;
  if (opened === null) return "not through the daemon: it is no regular file";
  const how = opened.flow === "passthrough" ? "by the kernel, straight on the file (passthrough)" : "through the daemon (mediated)";
  const because = opened.because === null ? "" : `, though it is granted: ${opened.because}`;
  return `${how}${because}${opened.copiesUp ? "; copied up to the upper layer before" : ""}`;
}

export function renderExplanation(explained: Explanation): string {
  const { effect, rule, reason, backend, revision, source, decision, layer, dataLayer, names, accesses, obligations, missing } = explained;
  return [
    `path         ${names.map(escapeTextName).join(", ")} (${accesses.join(", ")})`,
    `effect       ${effect}`,
    `rule         ${rule}`,
    `reason       ${reason}`,
    ...(obligations.length === 0 ? [] : [`obligations  ${obligations.map(({ name, value }) => `${name}: ${value}`).join(", ")}`]),
    ...missing.map((fact) => `missing      ${fact.name}: ${fact.reason}`),
    `backend      ${backend}, revision ${revision.sequence} (${revision.digest.slice(0, 12)})`,
    `source       ${source} (${decision})`,
    `scope        ${scopeLine(explained)}`,
    `layer        ${layer}${dataLayer === layer ? "" : `, its content from ${dataLayer}`}`,
    `opened       ${openedLine(explained)}`,
    "",
  ]
    .map(escapeLine)
    .join("\n");
}

async function show(path: string, args: ExplainArguments): Promise<void> {
  const { mountpoint, below } = locate(path);
  const uid = id(args.uid, "--uid") ?? process.getuid?.() ?? 0;
  const own = args.uid === undefined;
  const gid = id(args.gid, "--gid") ?? (own ? (process.getgid?.() ?? 0) : uid);
  const groups = args.group?.map((each) => id(each, "--group") as number) ?? (own ? (process.getgroups?.() ?? []) : []);
  const request: ExplainRequest = {
    method: "explain",
    path: toBytes(below),
    accesses: args.access,
    uid,
    gid,
    groups,
    executable: args.executable,
    cgroup: args.cgroup,
  };
  const explained = (await askOnce(mountpoint, args.control, request)) as Explanation;
  process.stdout.write(args.json === true ? `${JSON.stringify(explained, null, 2)}\n` : renderExplanation(explained));
}

export function addExplainCommand(program: Command): void {
  program
    .command("explain")
    .description("why a file of a running mount would be granted, mediated or denied, and how it would be opened; opens nothing")
    .argument("<path>", "a file on the mount")
    .addOption(new Option("--access <access...>", "what is asked for").choices(ALL_ACCESSES).default(["read"]))
    .option("--uid <n>", "who is supposed to ask (default: yourself, with your groups)")
    .option("--gid <n>", "with which group (default: the number of the uid)")
    .option("--group <n...>", "and these supplementary groups (default: none)")
    .option("--executable <path>", "with which program; where rules look at it and it is not said, it is missing")
    .option("--cgroup <path>", "in which cgroup; the same")
    .option("--json", "as JSON")
    .option("--control <socket>", "control socket, if the mount was given one")
    .action(show);
}
