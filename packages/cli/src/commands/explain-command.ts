/** `sluice explain`: the effect of the policy on a path of a running mount, and its reason. It opens nothing. */
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ALL_ACCESSES, scopeText } from "@sluice/decision-api";
import { codeOf, escapeLine, escapeTextName, failed, unfit, wrong } from "@sluice/runtime/cli";
import { type Command, Option } from "commander";
import { askOnce, type ExplainRequest, type Explanation, mountOf, readMountTable } from "@sluice/mount-control";
import { toBytes } from "@sluice/native";
import { controlOption } from "./shared-options.js";

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

/** For a look at a path on the mount. */
const PATIENCE_MS = 10_000;

/** The last name is not followed if it is a link: an open goes to the target, which has another path. */
async function realPath(path: string): Promise<string> {
  const full = resolve(path);
  try {
    return await realpath(full);
  } catch {
    // A dangling link, or a missing file: the daemon says so.
  }
  // The policy may hide a directory above it, which the daemon knows.
  const names: string[] = [];
  for (let at = full; at !== "/"; at = dirname(at)) {
    names.unshift(basename(at));
    try {
      return join(await realpath(dirname(at)), ...names);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw unfit(path, `it cannot be reached (${codeOf(error)})`, "correct the path");
    }
  }
  return full;
}

/** Looks at the mount in another thread, so that signals end the command if the daemon hangs. @throws CliError if that takes long */
async function inTime<T>(path: string, look: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: over.signal }).then(() => {
    throw failed(path, "the file system there does not answer (ETIMEDOUT)", "see whether its daemon is stopped");
  });
  try {
    return await Promise.race([look, late]);
  } finally {
    over.abort();
  }
}

async function locate(path: string): Promise<{ mountpoint: string; below: string }> {
  const real = await inTime(path, realPath(path));
  const row = mountOf(real, readMountTable());
  if (row === undefined || !row.type.startsWith("fuse")) {
    throw unfit(path, "it is not on a mount of Sluice", "name a file below one: see 'findmnt -t fuse.sluice'");
  }
  return { mountpoint: row.mountpoint, below: relative(row.mountpoint, real) };
}

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error: unknown) => codeOf(error) !== "ENOENT",
  );

/** A file that is not to be seen may be hidden by the policy: only the daemon knows. */
async function ask(
  path: string,
  mountpoint: string,
  { control, request }: { control: string | undefined; request: ExplainRequest },
): Promise<Explanation> {
  try {
    return (await askOnce(mountpoint, control, request)) as Explanation;
  } catch (error) {
    if (await inTime(path, isThere(path))) throw error;
    throw unfit(path, "there is no such file (ENOENT)", "name a file that exists, or use 'sluice policy explain', which needs no file");
  }
}

/** The kernel's ids have 32 bits. */
const MAX_ID = 2 ** 32 - 1;

function id(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw wrong(`${option} ${text}`, "it is not a whole number", "write a whole number");
  if (Number(text) > MAX_ID) throw wrong(`${option} ${text}`, "it is no id", `write one from 0 to ${MAX_ID}`);
  return Number(text);
}

function scopeLine({ scope, revision, source }: Explanation): string {
  // The mount's cache finds an answer by its scope, and does not name the scope.
  if (scope === null && source === "cache")
    return "holds for this file: an answer from the mount's cache; 'sluice policy explain' names its scope";
  if (scope === null) return "for this question alone: each open asks again";
  const subtree = scope.subtree === null ? undefined : escapeTextName(scope.subtree);
  const place = scopeText(subtree, scope.except.map(escapeTextName));
  const looked = [...scope.subject, ...scope.resource, ...scope.xattrs].join(", ");
  const same = looked === "" ? "for every caller" : `while these are the same: ${looked}`;
  const ttl = scope.ttlMs === null ? "" : `, for ${scope.ttlMs} ms`;
  return `${place}, ${same}${ttl}, as long as revision ${revision.sequence} (${revision.digest.slice(0, 12)}) is in force`;
}

function openedLine({ effect, errno, opened }: Explanation): string {
  if (effect === "ask") return "if a person allows it; then mediated";
  if (effect === "deny") return `not at all: ${errno ?? "EACCES"}`;
  if (opened === null) return "not through the daemon: it is not a regular file";
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
  const { mountpoint, below } = await locate(path);
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
  const explained = await ask(path, mountpoint, { control: args.control, request });
  process.stdout.write(args.json === true ? `${JSON.stringify(explained, null, 2)}\n` : renderExplanation(explained));
}

export function addExplainCommand(program: Command): void {
  program
    .command("explain")
    .description("explain why the policy of a running mount grants, mediates or denies a file, and how it opens; opens nothing")
    .argument("<path>", "a file on the mount")
    .addOption(new Option("--access <access...>", "the access to explain").choices(ALL_ACCESSES).default(["read"]))
    .option("--uid <n>", "uid of the supposed caller (default: yourself, with your groups)")
    .option("--gid <n>", "its gid (default: the number of the uid)")
    .option("--group <n...>", "its supplementary groups (default: none)")
    .option("--executable <path>", "its program; if omitted, rules treat it as missing")
    .option("--cgroup <path>", "its cgroup; if omitted, rules treat it as missing")
    .option("--json", "as JSON")
    .addOption(controlOption())
    .action(show);
}
