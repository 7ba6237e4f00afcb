/** Runs calls in a case's directory and records the result of each: a value, or the name of its error. */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { native } from "@sluice/native";

export interface Step {
  /** The call in words, numbered, so that the same step of two runs can be found. */
  call: string;
  result: unknown;
}

export interface Identity {
  uid: number;
  gid: number;
  groups?: readonly number[];
}

const ROOT: Identity = { uid: 0, gid: 0, groups: process.getgroups?.() ?? [] };
let acting = ROOT;

/** In every thread, so that calls of the thread pool are the user's, too. Node of Debian refuses process.seteuid(). */
function become(identity: Identity): void {
  const status = native.actAsUser(identity.uid, identity.gid, identity.groups);
  if (status < 0) throw new Error(`cannot act as user ${identity.uid}: ${errorName(status)}`);
  acting = identity;
}

/** Runs calls with another user's identity, supplementary groups included: until they return, or their promise settles. */
export function actAs<Result>(identity: Identity, calls: () => Result): Result {
  const before = acting;
  become(identity);
  let result: Result | undefined;
  try {
    result = calls();
  } finally {
    if (!(result instanceof Promise)) become(before);
  }
  return result instanceof Promise ? (result.finally(() => become(before)) as Result) : result;
}

/** Stays root if it is: each change of identity signals every thread of the process. */
export const actAsRoot = (calls: () => void): void => (acting === ROOT ? calls() : actAs(ROOT, calls));

/** "ENOENT" for -2. */
export function errorName(negative: number): string {
  const name = getSystemErrorName(negative);
  if (!name.startsWith("Unknown")) return name;
  // libuv does not know all of them, such as ESTALE.
  return Object.entries(constants.errno).find(([, value]) => value === -negative)?.[0] ?? `errno ${-negative}`;
}

export class Recorder {
  readonly steps: Step[] = [];
  /** Runs after each call. */
  afterEach: (() => void) | undefined = undefined;

  /** `root` is the case's directory in the mount, a byte string. */
  constructor(readonly root: string) {}

  at(path: string): string {
    return path === "." ? this.root : `${this.root}/${path}`;
  }

  /** Records a value that is no call's result. */
  note(what: string, result: unknown): void {
    this.steps.push({ call: `${this.steps.length + 1} ${what}`, result: typeof result === "bigint" ? String(result) : result });
    this.afterEach?.();
  }

  /** Records a native result: the error's name, or `shown` of it ("ok" if omitted). Returns the result. */
  protected record(call: string, result: number, shown: unknown = "ok"): number {
    this.note(call, result < 0 ? errorName(result) : shown);
    return result;
  }

  as<Result>(identity: Identity, calls: () => Result): Result {
    return actAs(identity, calls);
  }

  withUmask(mask: number, calls: () => void): void {
    const before = process.umask(mask);
    try {
      calls();
    } finally {
      process.umask(before);
    }
  }

  /** A second process in the case's directory; its output and exit code are recorded. */
  perl(what: string, script: string, ...args: string[]): void {
    this.#perl(what, [script, ...args], []);
  }

  /** The same with an open file as its descriptor 3. */
  perlOn(fd: number, script: string, ...args: string[]): void {
    this.#perl("on a descriptor", [script, ...args], [fd]);
  }

  #perl(what: string, argv: readonly string[], descriptors: readonly number[]): void {
    const ran = spawnSync("perl", ["-e", ...argv], {
      cwd: Buffer.from(this.root, "latin1").toString(),
      encoding: "latin1",
      timeout: 20_000,
      stdio: ["ignore", "pipe", "pipe", ...descriptors],
    });
    this.note(`perl: ${what}`, { output: ran.stdout + ran.stderr, status: ran.status, signal: ran.signal });
  }
}
