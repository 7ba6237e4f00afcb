/** The web console at /console/ of the admin address: pages, the calls they make, and the stream of decisions. */
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { type AccessRules, type Refusal, refuseCall, refusePage } from "./console-access.js";
import { CALLS, CallError, type ConsoleParts } from "./console-calls.js";
import type { Batch, DecisionFeed } from "./decision-feed.js";

const PAGES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "": ["index.html", "text/html; charset=utf-8"],
  "console.css": ["console.css", "text/css; charset=utf-8"],
  "console.js": ["console.js", "text/javascript; charset=utf-8"],
  "icon.svg": ["icon.svg", "image/svg+xml"],
  "live.js": ["live.js", "text/javascript; charset=utf-8"],
  "mounts.js": ["mounts.js", "text/javascript; charset=utf-8"],
  "playground.js": ["playground.js", "text/javascript; charset=utf-8"],
  "replay.js": ["replay.js", "text/javascript; charset=utf-8"],
  "server.js": ["server.js", "text/javascript; charset=utf-8"],
};
const DIRECTORY = new URL("../../console/", import.meta.url);
const PREFIX = "/console/";
const MAX_BODY_BYTES = 32 << 20;
/** What waits for a reader that does not read; beyond it batches are left out. */
const MAX_WAITING_BYTES = 1 << 20;
/** Whoever is on the machine may look: so many at a time, and so many large requests. */
const MAX_STREAMS = 64;
const MAX_CALLS = 8;

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

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { ...HEADERS, "content-type": "application/json" }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new CallError(`what was sent is larger than ${MAX_BODY_BYTES >> 20} MiB`);
    chunks.push(chunk);
  }
  try {
    return size === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new CallError("what was sent is no JSON");
  }
}

export class Console {
  private streams = 0;
  private calls = 0;

  constructor(
    private readonly parts: ConsoleParts,
    private readonly feed: DecisionFeed,
    private readonly rules: AccessRules,
  ) {}

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
    if (this.calls >= MAX_CALLS) {
      this.refuse(response, TOO_MANY);
      return;
    }
    this.calls++;
    try {
      send(response, 200, await call(this.parts, await bodyOf(request)));
    } catch (error) {
      // An engine that does not answer is its own message.
      send(response, error instanceof CallError ? 400 : 502, { error: error instanceof Error ? error.message : String(error) });
    } finally {
      this.calls--;
    }
  }

  /** JSON lines, for as long as the reader stays. */
  private stream(response: ServerResponse): void {
    response.writeHead(200, { ...HEADERS, "content-type": "application/x-ndjson" });
    this.streams++;
    let missed = 0;
    const stop = this.feed.watch((batch: Batch) => {
      if (response.writableLength > MAX_WAITING_BYTES) {
        missed += batch.missed + batch.decisions.length;
        return;
      }
      response.write(`${JSON.stringify({ ...batch, missed: batch.missed + missed })}\n`);
      missed = 0;
    });
    response.on("close", () => {
      this.streams--;
      stop();
    });
  }

  private refuse(response: ServerResponse, { status, problem }: Refusal | typeof TOO_MANY): void {
    send(response, status, { error: problem });
  }
}
