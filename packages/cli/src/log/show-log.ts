/** Shows the decisions of a mount or a decision service that the filters of `sluice log` choose. */
import { readFileSync } from "node:fs";
import { compileGlob, GlobError, namesOf } from "@sluice/decision-api";
import type { LogItem } from "@sluice/mount-control";
import { toBytes } from "@sluice/native";
import { codeOf, wrong } from "@sluice/runtime/cli";
import { placeOf } from "../place-of.js";
import { lineOf, type LogEntry } from "./log-entry.js";
import { mountLog } from "./mount-log.js";
import { serviceLog } from "./service-log.js";

export interface LogArguments {
  follow?: boolean;
  denied?: boolean;
  path?: string;
  rule?: string;
  uid?: string;
  json?: boolean;
  control?: string;
  tokenFile?: string;
}

type Filter = (item: LogItem) => boolean;

function pathFilter(glob: string): Filter {
  try {
    const matches = compileGlob(glob, false);
    return ({ path }) => path === null || matches(namesOf(toBytes(path)));
  } catch (error) {
    if (!(error instanceof GlobError)) throw error;
    throw wrong(`--path ${glob}`, error.message, "write it as in a rule");
  }
}

function uidFilter(text: string): Filter {
  if (!/^\d{1,10}$/.test(text)) throw wrong(`--uid ${text}`, "it is not a number", "write one such as 1000");
  return ({ uid }) => uid === null || uid === Number(text);
}

/** Decisions without path and caller pass filters by path and caller: the reader must not take silence for "none". */
function filterOf({ denied, path, rule, uid }: LogArguments): Filter {
  const all: Filter[] = [];
  if (denied === true) all.push(({ effect }) => effect === "deny" || effect === "ask");
  if (rule !== undefined) all.push((item) => item.rule === rule);
  if (path !== undefined) all.push(pathFilter(path));
  if (uid !== undefined) all.push(uidFilter(uid));
  return (item) => all.every((passes) => passes(item));
}

function tokenIn(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw wrong(`--token-file ${file}`, `it cannot be read (${codeOf(error)})`, "name the file of the service's --admin-token-file");
  }
}

export async function showLog(target: string, args: LogArguments): Promise<void> {
  const passes = filterOf(args);
  const asJson = args.json === true || !process.stdout.isTTY;
  const follow = args.follow === true;
  const entries: AsyncIterable<LogEntry> = /^https?:\/\//.test(target)
    ? serviceLog(target, { follow, token: tokenIn(args.tokenFile) })
    : mountLog(await placeOf(target, args.control), follow);
  for await (const entry of entries)
    if ("missed" in entry || passes(entry)) process.stdout.write(`${asJson ? JSON.stringify(entry) : lineOf(entry)}\n`);
}
