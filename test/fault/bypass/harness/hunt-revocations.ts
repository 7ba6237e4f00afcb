/**
 * The hunter for revoked opens: changes the policy, checks how each open is counted, and lets its processes continue. See README.md.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cleanedUp, type Layers, layers, type Planted, publicFile, type RunningScript, startScript, type Tree } from "@sluice/testkit";
import { expect } from "vitest";
import { compileProgram } from "./compile-program.js";
import { type Configuration, FLOWS, type Hunt, huntedMount, type HuntedMount, SPARE_MS } from "./configurations.js";
import { slowReads } from "./held-reads.js";
import { isRefused, type RevocableGrant, revocableGrants } from "./revocable-grants.js";

const MOST_ROUNDS = 20;
const ROUND_MS = 2_000;
const OPENING_MS = 400;
const ATTACK_MS = 500;
/** For the new policy and the answers about it. `sluice status` alone takes seconds on a machine that does much else. */
const PATIENCE_MS = 60_000;
const ANSWER_MS = 60_000;

const FILES = 8;
const PAGE = 4096;
/** The size of a file of zeroes: words of the era before the first. */
const SMALL = Buffer.alloc(4 * PAGE);
/** Large enough that a copy-up makes its caller wait. */
const LARGE = Buffer.alloc(4 << 20);
const SLOW_READ_MS = 600;
const EDIT_MS = 150;
/** As in revocation-hunter.c: the last user is never denied anything. */
const USERS = [2001, 2002, 2003];
const FORBIDDEN = 0x80;

/** As in revocation-hunter.c. */
const [READING, WRITING] = [1, 2];

interface Denial {
  uid: number;
  file: number;
  access: number;
}
interface Held {
  pid: number;
  uid: number;
  file: number;
  access: number;
}

const below = (random: () => number, limit: number): number => Math.floor(random() * limit);

/**
 * Rules for every second file, for all users that can be denied: an open that shares its inode with an allowed one passes
 * through.
 */
function drawDenials(random: () => number): Denial[] {
  return Array.from({ length: FILES }, (_, file) => file).flatMap((file) => {
    const [toAll, access] = [random() < 0.5, 1 + below(random, 3)];
    const denied = USERS.slice(0, -1).filter(() => toAll || random() < 0.5);
    return denied.map((uid) => ({ uid, file, access: toAll ? READING | WRITING : access }));
  });
}

const ACCESSES = ["read", "write"];
const accessesOf = (bits: number): string => ACCESSES.filter((_, bit) => (bits & (1 << bit)) !== 0).join(", ");

const MEDIATED = "effect: mediate";
const GRANTED = "effect: grant";
const OBSERVED = "effect: mediate, obligations: { audit: each-io }";

/**
 * Rules of a mixed mount, drawn for each user and file, so that opens of all kinds meet. A passthrough open cannot be refused, so it
 * is rarer.
 */
function flowRules({ flow }: Configuration, round: number, random: () => number): string {
  if (flow !== "mixed") return FLOWS[flow].rules;
  const pairs = USERS.flatMap((uid) => Array.from({ length: FILES }, (_, file) => ({ uid, file })));
  const rules = pairs.map(({ uid, file }) => {
    const effect = random() < 0.2 ? OBSERVED : random() < (uid === USERS.at(-1) ? 0.3 : 0.75) ? MEDIATED : GRANTED;
    return `  - { name: flow${uid}f${file}, path: "${round}/f${file}", subject: { uid: [${uid}] }, ${effect}, ttl: 0ms }\n`;
  });
  return rules.join("");
}

interface Written {
  revision: number;
  round: number;
  denials: readonly Denial[];
  flows: string;
}

function policyOf({ flow }: Configuration, { revision, round, denials, flows }: Written): string {
  const denied = denials.map(
    ({ uid, file, access }) =>
      `  - { name: no${uid}f${file}, path: "${round}/f${file}", subject: { uid: [${uid}] }, access: [${accessesOf(access)}], effect: deny, ttl: 0ms }\n`,
  );
  return `version: 1\nrevision: ${revision}\ndefault: ${FLOWS[flow].fallback}\nrules:\n  - { name: none, path: "none", effect: deny }\n${denied.join("")}${flows}`;
}

/**
 * A copy-up of the first two files makes its caller wait, one of the next files does not, and the last files lie in the upper layer.
 */
function plantRounds(rounds: number): Layers {
  const all = Array.from({ length: rounds }, (_, round) => round);
  const file = (round: number, number: number): string => `${round}/f${number}`;
  const content = (number: number): Planted => publicFile(number < 2 ? LARGE : SMALL);
  const treeOf = (numbers: readonly number[]): Tree =>
    Object.fromEntries(all.flatMap((round) => numbers.map((number) => [file(round, number), content(number)])));
  return layers({ lower: treeOf([0, 1, 2, 3, 4]), upper: treeOf([5, 6, 7]) });
}

class Rounds {
  readonly #found: string[] = [];
  #revision = 1;
  #answered = 0;

  constructor(
    private readonly parts: {
      hunted: HuntedMount;
      configuration: Configuration;
      made: Layers;
      random: () => number;
      hunter: RunningScript;
      patienceMs: number;
    },
  ) {}

  /** Sends the hunter a command, and returns its lines up to the one that matches `answer`. */
  async #tell(line: string, answer: RegExp): Promise<string[]> {
    this.parts.hunter.write(`${line}\n`);
    return this.#until(answer);
  }

  async #until(answer: RegExp): Promise<string[]> {
    for (const deadlineMs = Date.now() + ANSWER_MS; ; await sleep(10)) {
      const lines = this.parts.hunter.stdout().split("\n").slice(0, -1);
      const at = lines.findIndex((line, index) => index >= this.#answered && answer.test(line));
      if (at >= 0) {
        const said = lines.slice(this.#answered, at + 1);
        this.#answered = at + 1;
        this.#found.push(...said.filter((line) => line.startsWith("violation")));
        return said;
      }
      if (Date.now() > deadlineMs) throw new Error(`the hunter does not say ${answer.source}: ${lines.slice(this.#answered).join("; ")}`);
    }
  }

  /** The violations found in the round. */
  async play(round: number): Promise<string[]> {
    const { random, configuration, hunted } = this.parts;
    const flows = flowRules(configuration, round, random);
    const write = (denials: readonly Denial[]): number => {
      const revision = ++this.#revision;
      hunted.edit(policyOf(configuration, { revision, round, denials, flows }));
      return revision;
    };
    write([]);
    await this.#tell(`round ${round}`, /^opening/);
    await sleep(OPENING_MS * random());
    this.parts.hunter.write("copy\n");
    await sleep(EDIT_MS * random());
    const denials = drawDenials(random);
    const revision = write(denials);
    await sleep(OPENING_MS * random());
    const held = (await this.#tell("hold", /^holding/)).filter((line) => line.startsWith("held")).map(heldOf);
    const refused = await this.#reviewed({ round, revision, held, denials });
    for (const { uid, file, access } of denials) this.parts.hunter.write(`denied ${uid} ${file} ${access}\n`);
    for (const { pid, file } of refused) this.parts.hunter.write(`refused ${pid} ${file}\n`);
    await this.#tell("attack", /^attacking/);
    await sleep(ATTACK_MS);
    await this.#tell("close", /^closed/);
    this.#found.push(...this.#writtenForbidden(round));
    return this.#found.map((line) => `round ${round}: ${line}`);
  }

  /** Waits until every denied descriptor is counted. Returns the descriptors that count as refused. */
  async #reviewed(of: { round: number; revision: number; held: readonly Held[]; denials: readonly Denial[] }): Promise<Held[]> {
    const { hunted, patienceMs } = this.parts;
    const denied = of.held.filter(({ uid, file, access }) =>
      of.denials.some((denial) => denial.uid === uid && denial.file === file && (denial.access & access) !== 0),
    );
    const startedMs = Date.now();
    let inForceMs: number | undefined;
    for (; ; await sleep(50)) {
      // On a loaded machine no server lives long enough to review all opens: the last half of the wait is without kills.
      hunted.calm = Date.now() - startedMs > patienceMs / 2;
      const { sequence, grants, unanswered } = await revocableGrants(hunted.mount);
      if (sequence === of.revision) inForceMs ??= Date.now();
      const rowsOf = ({ pid, file }: Held): RevocableGrant[] =>
        grants.filter((grant) => grant.pid === pid && grant.path === `${of.round}/f${file}`);
      const uncounted = denied.filter((one) => rowsOf(one).some(({ revoked }) => revoked === null) || rowsOf(one).length === 0);
      // The descriptor was closed a moment ago and is not released yet: it cannot be told from the one before.
      const unclear = of.held.some((one) => rowsOf(one).length > 1);
      if (sequence === of.revision && uncounted.length === 0 && !unclear) {
        hunted.calm = false;
        return of.held.filter((one) => rowsOf(one).some(isRefused));
      }
      // A review takes its time from then on. Everything else waits for the machine.
      const untilMs = uncounted.length === 0 || inForceMs === undefined ? startedMs + PATIENCE_MS : inForceMs + patienceMs;
      if (Date.now() < untilMs) continue;
      hunted.calm = false;
      const text = uncounted.map((one) => `${JSON.stringify(one)} ${JSON.stringify(rowsOf(one))}`).join("; ");
      this.#found.push(
        uncounted.length > 0 && sequence === of.revision
          ? `violation: denied, and counted neither as refused nor as passing through: ${text}`
          : `stalled: revision ${of.revision} is not in force after ${PATIENCE_MS / 1000} s, but ${sequence} (${unanswered ?? text})`,
      );
      return [];
    }
  }

  /** Reads the layer's content without the mount. */
  #writtenForbidden(round: number): string[] {
    return Array.from({ length: FILES }, (_, file) => join(this.parts.made.upper, `${round}/f${file}`))
      .filter((path) => existsSync(path) && hasForbidden(readFileSync(path)))
      .map((path) => `violation: ${path} holds what was written by a descriptor that is counted as refused`);
  }
}

function heldOf(line: string): Held {
  const [pid = 0, uid = 0, file = 0, access = 0] = line.split(" ").slice(1).map(Number);
  return { pid, uid, file, access };
}

/** Returns the highest byte of a word. */
function hasForbidden(content: Buffer): boolean {
  for (let at = 7; at < content.length; at += 8) if (((content[at] as number) & FORBIDDEN) !== 0) return true;
  return false;
}

async function huntOnce(hunt: Hunt, program: string): Promise<string[]> {
  const { configuration, random, leftMs, patienceMs = PATIENCE_MS } = hunt;
  const rounds = Math.max(1, Math.min(MOST_ROUNDS, Math.ceil(leftMs / ROUND_MS)));
  const made = plantRounds(rounds);
  const slow = Array.from({ length: rounds }, (_, round) => [0, 1].map((number) => join(made.lower, `${round}/f${number}`)));
  await slowReads(slow.flat(), SLOW_READ_MS);
  const hunted = await huntedMount(hunt, made, policyOf(configuration, { revision: 1, round: 0, denials: [], flows: "" }));
  const hunter = startScript([program, hunted.mount.mountpoint, String(below(random, 1e9))], { timeoutMs: leftMs + SPARE_MS });
  const untilMs = Date.now() + leftMs;
  const found: string[] = [];
  const hunting = (async () => {
    const all = new Rounds({ hunted, configuration, made, random, hunter, patienceMs });
    for (let round = 0; round < rounds && found.length === 0 && (round === 0 || Date.now() < untilMs); round++)
      found.push(...(await all.play(round)));
  })();
  await hunted.disturbWhile(hunting, untilMs);
  hunter.kill();
  await hunter.finished;
  if (found.length === 0) expect((await hunted.mount.stop()).code).toBe(0);
  return found;
}

/**
 * Returns the violations found until the time is up, on one mount after the other. Ends with the first mount that has a
 * violation.
 */
export async function huntRevocations(hunt: Hunt): Promise<string[]> {
  const program = compileProgram("revocation-hunter.c", "revocation-holders.c");
  const untilMs = Date.now() + hunt.leftMs;
  for (let leftMs = hunt.leftMs; leftMs > 0; leftMs = untilMs - Date.now()) {
    const found = await cleanedUp(() => huntOnce({ ...hunt, leftMs }, program));
    if (found.length > 0) return found;
  }
  return [];
}
