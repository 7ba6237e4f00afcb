/** The web console at /console/ of the admin address: pages, the calls they make, and the stream of decisions. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type AccessRules, type Refusal, refuseCall, refusePage } from "./console-access.js";
import { type Call, CALLS, type ConsoleParts } from "./console-calls.js";
import { bodyOf, HEADERS, send, sendJson, sendPage } from "./console-http.js";
import { type Batch, type DecisionFeed, decisionsIn } from "./decision-feed.js";
import { WorkAside } from "./work-aside.js";
import { WorkFailure } from "./work-failure.js";

const SCRIPTS = [
  "console",
  "figures",
  "live",
  "mounts",
  "names",
  "overview",
  "places",
  "playground",
  "questions",
  "replay",
  "server",
  "work",
].map((name) => `${name}.js`);
/** Links into the package. */
const CHARTS = ["uplot.css", "uplot.js"];
const PAGES: Readonly<Record<string, string>> = {
  "": "index.html",
  ...Object.fromEntries(["console.css", "icon.svg", ...SCRIPTS, ...CHARTS].map((file) => [file, file])),
};
const PREFIX = "/console/";
/** Bytes that wait for a slow reader; beyond it batches are left out. */
const MAX_WAITING_BYTES = 1 << 20;
/** Whoever is on the machine may look: so many at a time. */
const MAX_STREAMS = 64;
/** So many may bring work: one whose work is done, and others that wait with their bodies in memory. */
const MAX_WORK = 4;

const TOO_MANY = { status: 503, problem: "too many are using the console just now: try again" } as const;

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
    this.aside = new WorkAside(parts.callBudgetS, parts.callProgram);
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
    else await sendPage(response, page);
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
