/**
 * `sluice diff --web`: the review of a session in a browser, and the same apply and discard as by command. The server listens on loopback,
 * where every user of the machine can connect, so each call needs a token. The link holds one that the first page exchanges for its own.
 */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  conflictLabel,
  type Difference,
  differenceLine,
  forTerminal,
  missingInPatch,
  noteWriters,
  parentsOf,
  patchesOf,
  selectorOf,
  shownDifferences,
  summaryOf,
} from "@sluice/changes";
import { unfit } from "@sluice/runtime/cli";
import { type AccessRules, bodyOf, refuseCall, send, sendPage, WorkFailure } from "@sluice/service-decision/console-http";
import type { Session } from "@sluice/sessions";
import { applyReview } from "./apply-session.js";
import type { Choice } from "./resolve-conflicts.js";
import { behind, discardSession, recoverSession, type Review, reviewSession, type SessionPlace } from "./session-changes.js";

const PREFIX = "/console/";
const PAGES: readonly string[] = ["review.html", "review.js", "names.js", "server.js", "console.css", "icon.svg"];
const HOST = "127.0.0.1";
const TOKEN_BYTES = 32;
const MAX_BODY_BYTES = 4 << 20;
/** A browser shows no more of a file in good time. */
const MAX_PATCH_LENGTH = 2 << 20;
const CHOICES: readonly string[] = ["session", "directory", "merge", "none"] satisfies Choice[];

interface Selection {
  /** Places in the list of changes. */
  selected: number[];
  /** For conflicts, by place. */
  choices: Record<string, Choice>;
  /** The list that the person saw. */
  list: number;
}

const isPlace = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** @throws WorkFailure */
function readSelection(text: string): Selection {
  try {
    const { selected, choices, list } = JSON.parse(text) as Partial<Record<keyof Selection, unknown>>;
    const isChoice = (value: unknown): boolean => typeof value === "string" && CHOICES.includes(value);
    if (Array.isArray(selected) && selected.every(isPlace) && isPlace(list) && Object.values(choices as object).every(isChoice))
      return { selected, list, choices: choices as Selection["choices"] };
  } catch {
    // It is refused below.
  }
  throw new WorkFailure(400, "the request names no selection");
}

const drawToken = (): string => randomBytes(TOKEN_BYTES).toString("base64url");

class ReviewServer {
  readonly link = drawToken();
  /** That of the page, once the link was used. */
  #token: string | undefined;
  #review: Review;
  /** Each list has a number, so that a page with an older one applies nothing. */
  #list = 1;
  /** The changes of that list. An apply may find a conflict that it does not show. */
  #listed: string;
  #isBusy = false;
  /** An apply failed, and the review of the session after it, too. */
  #isStale = false;
  readonly #end: () => void;
  readonly #isChosen: (path: string) => boolean;

  constructor(
    private readonly session: Session,
    private readonly place: SessionPlace,
    { first, words, end }: { first: Review; words: readonly string[]; end: () => void },
  ) {
    this.#review = first;
    this.#isChosen = selectorOf(place.base.path, words);
    this.#end = end;
    this.#listed = this.#seen();
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const name = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : "";
    if (name.startsWith("api/")) return this.#call(request, response, name.slice("api/".length));
    if (PAGES.includes(name)) return sendPage(response, name);
    send(response, 404, { error: "there is no such page" });
  }

  async #call(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    // Before the link is used no token is right.
    const rules: AccessRules = { host: HOST, token: name === "open" ? this.link : (this.#token ?? drawToken()) };
    const refusal = name === "open" && this.#token !== undefined ? LINK_WAS_USED : refuseCall(request, rules);
    response.shouldKeepAlive = refusal === undefined;
    if (refusal !== undefined) return send(response, refusal.status, { error: refusal.problem });
    try {
      const body = request.method === "POST" ? Buffer.from(await bodyOf(request, MAX_BODY_BYTES)).toString() : undefined;
      send(response, 200, await this.#outcome(name, body));
    } catch (error) {
      response.shouldKeepAlive = false;
      send(response, error instanceof WorkFailure ? error.status : 409, { error: (error as Error).message });
    }
  }

  #outcome(name: string, body: string | undefined): object | Promise<object> {
    if (body === undefined) return name === "review" ? this.#changes() : this.#patch(name);
    if (name === "open") return this.#open();
    if (name === "apply") return this.#alone(() => this.#apply(readSelection(body)));
    if (name === "discard") return this.#alone(() => this.#discard());
    // This process ends with the page: no apply is cut short.
    if (name === "close") return this.#alone(() => this.#close("closed"));
    throw new WorkFailure(400, "there is no such call");
  }

  #open(): object {
    this.#token = drawToken();
    return { token: this.#token };
  }

  async #alone(work: () => object | Promise<object>): Promise<object> {
    if (this.#isBusy) throw new WorkFailure(409, "another request is under way");
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  #shown(): Difference[] {
    return shownDifferences(this.#review.selected);
  }

  #changes(): object {
    const { stack } = this.#review;
    const shown = this.#shown();
    const changes = shown.map((one) => {
      const [origin] = behind(this.#review, [one]);
      const label = conflictLabel(one) ?? null;
      const line = differenceLine(stack, one, origin === one ? undefined : origin).trimEnd();
      const isHeldBack = behind(this.#review, [one]).some(({ heldBack }) => heldBack !== undefined);
      return { line, conflict: label, heldBack: isHeldBack, merge: one.merge?.conflicts ?? null };
    });
    const others = shownDifferences(this.#review.all.list).length - shown.length;
    return { session: this.session.name, base: this.session.base, list: this.#list, summary: summaryOf(shown), others, changes };
  }

  #patch(name: string): object {
    const [, place] = /^patch\/(\d{1,9})$/.exec(name) ?? [];
    const shown = this.#shown();
    const one = place === undefined ? undefined : shown[Number(place)];
    if (one === undefined) throw new WorkFailure(400, "there is no such change");
    const { stack, all } = this.#review;
    const byPath = new Map(all.list.map((each) => [each.path, each]));
    const text = [...patchesOf(stack, [one], byPath)].flatMap(([, patches]) => patches.map((patch) => forTerminal(patch.text))).join("");
    const isCut = text.length > MAX_PATCH_LENGTH;
    const missing = missingInPatch(stack, one, parentsOf(shown), one.from === undefined ? undefined : byPath.get(one.from)) ?? null;
    return { patch: isCut ? text.slice(0, MAX_PATCH_LENGTH) : text, isCut, missing };
  }

  #seen(): string {
    return JSON.stringify(this.#shown().map(({ path, from, aspects, conflict }) => [path, from, aspects, conflict]));
  }

  /** A list of the same changes keeps its number. */
  async #reviewAgain(): Promise<void> {
    recoverSession(this.session);
    const left = await reviewSession(this.place, []);
    noteWriters(this.place.base.fd, left.all.list);
    this.#review = { ...left, selected: left.selected.filter(({ path }) => this.#isChosen(path)) };
    this.#isStale = false;
    const seen = this.#seen();
    if (seen !== this.#listed) this.#list++;
    this.#listed = seen;
  }

  async #apply(selection: Selection): Promise<object> {
    if (this.#isStale) await this.#reviewAgain();
    try {
      return { done: await this.#applySelected(selection) };
    } finally {
      // The files have other times, also if the apply failed and took itself back.
      this.#isStale = true;
      await this.#reviewAgain().catch(() => undefined);
    }
  }

  async #applySelected({ selected, choices, list }: Selection): Promise<string> {
    const shown = this.#shown();
    if (list !== this.#list || selected.some((place) => shown[place] === undefined))
      throw new WorkFailure(409, "the list of changes is another one: load the page again");
    const chosen = behind(
      this.#review,
      selected.map((place) => shown[place] as Difference),
    ); // looked at above
    const places = new Map(shown.flatMap((one, place) => behind(this.#review, [one]).map((each) => [each, place] as const)));
    const decide = (one: Difference): Promise<Choice | undefined> => Promise.resolve(choices[String(places.get(one))]);
    // Each has a checkbox of its own.
    const named = new Set(chosen.map(({ path }) => path));
    return (await applyReview(this.place, { ...this.#review, selected: chosen, named }, { decide })).line;
  }

  async #discard(): Promise<object> {
    return this.#close(await discardSession(this.session));
  }

  #close(done: string): object {
    setImmediate(this.#end);
    return { done };
  }
}

const LINK_WAS_USED = { status: 401, problem: "the link was used: run 'sluice diff --web' again" } as const;

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, HOST, resolve);
  });
  return `http://${HOST}:${(server.address() as AddressInfo).port}`; // it listens on TCP
}

/** The session is locked. Ends when the page says so. @param words paths and `!patterns`; empty: all changes. @throws CliError */
export async function serveReview(session: Session, place: SessionPlace, words: readonly string[]): Promise<void> {
  const first = await reviewSession(place, words);
  noteWriters(place.base.fd, first.all.list);
  if (first.all.list.length === 0) throw unfit(session.name, "there are no changes to show", "see 'sluice sessions'");
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const pages = new ReviewServer(session, place, { first, words, end });
  const server = createServer((request, response) => {
    pages.answer(request, response).catch(() => response.destroy());
  });
  const address = await listen(server);
  process.stdout.write(`${address}${PREFIX}review.html#${pages.link}\n`);
  process.stderr.write("sluice: open this link in a browser on this machine; it works once. Ctrl-C ends the review\n");
  await ended;
  server.close();
  server.closeAllConnections();
}
