/** The decisions of a decision service, by the stream of its console. */
import type { Access, DecisionSource, Effect, Operation } from "@sluice/decision-api";
import { codeOf, failed, unfit, wrong } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import type { LogEntry } from "./log-entry.js";

const STREAM = "/console/api/decisions";
const UNAUTHORIZED = 401;
/** A batch is far smaller. */
const MAX_LINE_CHARACTERS = 8 << 20;

/** As services/decision/src/console/decision-feed.ts writes it. */
interface Seen {
  at: string;
  mount: string;
  effect: Effect;
  count: number;
  rule: string;
  source: DecisionSource;
  path: string | null;
  operation: Operation | null;
  access: string | null;
  uid: number | null;
  pid: number | null;
  program: string | null;
  errno: number | null;
  reason: string | null;
  decision: string | null;
}
interface Batch {
  decisions: Seen[];
  missed: number;
}

function entryOf({ at: time, mount, effect, count, rule, source, path, operation, access, errno, ...rest }: Seen): LogEntry {
  const { uid, pid, program, reason, decision } = rest;
  const accesses = access === null ? null : (access.split(", ") as Access[]);
  const refused = effect === "deny" || effect === "ask";
  const named = { path, operation, accesses, uid, pid, program, reason, decision };
  return {
    time,
    mount,
    effect,
    count,
    rule,
    ...named,
    errno: refused && errno !== null && errno > 0 ? errnoName(errno) : null,
    source: path === null ? null : source,
  };
}

async function open(url: string, token: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  let address: URL;
  try {
    address = new URL(STREAM, url);
  } catch {
    throw wrong(url, "it is not an address", "write http://HOST:PORT of the service's --admin");
  }
  let response: Response;
  try {
    response = await fetch(address, { signal, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
  } catch (error) {
    throw failed(url, `the service cannot be reached (${codeOf((error as Error).cause ?? error)})`, "check its --admin address");
  }
  if (response.status === UNAUTHORIZED) throw unfit(url, "the console wants a token (EACCES)", "name the token's file with --token-file");
  if (!response.ok || response.body === null)
    throw unfit(url, `there is no console of a decision service (status ${response.status})`, "check the --admin address of the service");
  return response.body;
}

async function* batchesOf(url: string, body: ReadableStream<Uint8Array>): AsyncGenerator<Batch, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of body) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_CHARACTERS) throw failed(url, "a line of its answer is too long", "ask a service of the same version");
    for (const line of lines) if (line !== "") yield JSON.parse(line) as Batch;
  }
}

/** The newest decisions; with `follow` all later ones, too. Ends when the service does. */
export async function* serviceLog(
  url: string,
  how: { follow: boolean; token: string | undefined },
): AsyncGenerator<LogEntry, void, undefined> {
  const leaving = new AbortController();
  try {
    for await (const { decisions, missed } of batchesOf(url, await open(url, how.token, leaving.signal))) {
      for (const each of decisions) yield entryOf(each);
      if (missed > 0) yield { missed };
      // The first batch is the past.
      if (!how.follow) return;
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw failed(url, "the service ended the stream (ECONNRESET)", "see its log");
  } finally {
    leaving.abort();
  }
}
