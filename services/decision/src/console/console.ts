/** The web console at /console/ of the admin address: pages, the calls they make, and the stream of decisions. */
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { type AccessRules, type Refusal, refuseCall, refusePage } from "./console-access.js";
import { type Call, CALLS, type ConsoleParts } from "./console-calls.js";
import { type Batch, type DecisionFeed, decisionsIn } from "./decision-feed.js";
import { WorkAside, WorkFailure } from "./work-aside.js";

const PAGES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "": ["index.html", "text/html; charset=utf-8"],
  "console.css": ["console.css", "text/css; charset=utf-8"],
  "console.js": ["console.js", "text/javascript; charset=utf-8"],
  "icon.svg": ["icon.svg", "image/svg+xml"],
  "live.js": ["live.js", "text/javascript; charset=utf-8"],
  "mounts.js": ["mounts.js", "text/javascript; charset=utf-8"],
  "questions.js": ["questions.js", "text/javascript; charset=utf-8"],
  "playground.js": ["playground.js", "text/javascript; charset=utf-8"],
  "replay.js": ["replay.js", "text/javascript; charset=utf-8"],
  "server.js": ["server.js", "text/javascript; charset=utf-8"],
};
const DIRECTORY = new URL("../../console/", import.meta.url);
const PREFIX = "/console/";
/** Bytes that wait for a slow reader; beyond it batches are left out. */
const MAX_WAITING_BYTES = 1 << 20;
/** Whoever is on the machine may look: so many at a time. */
const MAX_STREAMS = 64;
/** So many may bring work: one whose work is done, and others that wait with their bodies in memory. */
const MAX_WORK = 4;

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
} as const;

const TOO_MANY = { status: 503, problem: "too many are using the console just now: try again" } as const;

function sendJson(response: ServerResponse, status: number, json: string): void {
  response.writeHead(status, { ...HEADERS, "content-type": "application/json" }).end(json);
}

function send(response: ServerResponse, status: number, body: object): void {
  sendJson(response, status, JSON.stringify(body));
}

/** Rejects with `WorkFailure`. The length is known first: nothing grows, and a body in a million pieces is not a million objects. */
async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const length = Number(request.headers["content-length"] ?? Number.NaN);
  if (Number.isNaN(length)) throw new WorkFailure(411, "the request does not say how long it is: send Content-Length");
  if (length > maxBytes)
    throw new WorkFailure(
      413,
      `the request is larger than ${maxBytes < 1 << 20 ? `${maxBytes} bytes` : `${maxBytes >> 20} MiB`}: send less`,
    );
  const body = new Uint8Array(length);
  let at = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

export class Console {
  private streams = 0;
  private brought = 0;
  private readonly aside: WorkAside;
  private lastLine: { batch: Batch; line: string } | undefined;

  constructor(
    private readonly parts: ConsoleParts,
    private readonly feed: DecisionFeed,
    private readonly rules: AccessRules,
  ) {
    this.aside = new WorkAside(parts.callBudgetS);
  }

  /** True where the request was the console's. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    if (path === "/" || path === "/console") {
      response.writeHead(302, { ...HEADERS, location: PREFIX }).end();
      return true;
    }
    if (!path.startsWith(PREFIX)) return false;
    const name = path.slice(PREFIX.length);
    await (name.startsWith("api/") ? this.call(request, response, name.slice("api/".length)) : this.page(request, response, name));
    return true;
  }

  private async page(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const refusal = refusePage(request, this.rules);
    const page = Object.hasOwn(PAGES, name) ? PAGES[name] : undefined;
    if (refusal !== undefined) this.refuse(response, refusal);
    else if (page === undefined) send(response, 404, { error: "there is no such page" });
    else response.writeHead(200, { ...HEADERS, "content-type": page[1] }).end(await readFile(fileURLToPath(new URL(page[0], DIRECTORY))));
  }

  private async call(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const refusal = refuseCall(request, this.rules);
    if (refusal !== undefined) {
      this.refuse(response, refusal);
      return;
    }
    if (name === "decisions" && request.method === "GET") {
      if (this.streams < MAX_STREAMS) this.stream(response);
      else this.refuse(response, TOO_MANY);
      return;
    }
    const key = `${request.method} ${name}`;
    const call = Object.hasOwn(CALLS, key) ? CALLS[key] : undefined;
    if (call === undefined) {
      send(response, 404, { error: "there is no such call" });
      return;
    }
    if (call.work !== undefined && this.brought >= MAX_WORK) {
      this.refuse(response, TOO_MANY);
      return;
    }
    try {
      const outcome = await this.broughtBy(call, request, response);
      if (outcome !== undefined) sendJson(response, 200, await call.answer(this.parts, outcome));
    } catch (error) {
      // Whoever brought it has gone.
      if (request.errored !== null) return;
      // The rest of its body is not read as the next request.
      response.shouldKeepAlive = false;
      // An engine that does not answer is its own message.
      send(response, error instanceof WorkFailure ? error.status : 502, { error: error instanceof Error ? error.message : String(error) });
    }
  }

  private async broughtBy({ work, body }: Call, request: IncomingMessage, response: ServerResponse): Promise<string | undefined> {
    if (work !== undefined) return this.outcomeOf(work, request, response);
    return body === undefined ? "" : Buffer.from(await bodyOf(request, body.maxBytes)).toString("utf8");
  }

  private async outcomeOf(
    work: NonNullable<Call["work"]>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<string | undefined> {
    this.brought++;
    try {
      const body = await bodyOf(request, work.maxBodyBytes);
      return await this.aside.run(work.name, body, () => !response.destroyed);
    } finally {
      this.brought--;
    }
  }

  /** All readers get the same batch: its line is made once. */
  private lineOf(batch: Batch): string {
    if (batch !== this.lastLine?.batch) this.lastLine = { batch, line: `${JSON.stringify(batch)}\n` };
    return this.lastLine.line;
  }

  /** JSON lines, for as long as the reader stays. */
  private stream(response: ServerResponse): void {
    response.writeHead(200, { ...HEADERS, "content-type": "application/x-ndjson" });
    this.streams++;
    let missed = 0;
    const stop = this.feed.watch((batch: Batch) => {
      if (response.writableLength > MAX_WAITING_BYTES) {
        missed += decisionsIn(batch);
        return;
      }
      if (missed > 0) response.write(`${JSON.stringify({ decisions: [], missed } satisfies Batch)}\n`);
      response.write(this.lineOf(batch));
      missed = 0;
    });
    response.on("close", () => {
      this.streams--;
      stop();
    });
  }

  /** The request's body, if it has one, is not read. */
  private refuse(response: ServerResponse, { status, problem }: Refusal | typeof TOO_MANY): void {
    response.shouldKeepAlive = false;
    send(response, status, { error: problem });
  }
}
