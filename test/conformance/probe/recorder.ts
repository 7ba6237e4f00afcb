/** Runs calls in a case's directory and records the result of each: a value, or the name of its error. */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";

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

  /** Runs calls with another user's identity, supplementary groups included. */
  as(identity: Identity, calls: () => void): void {
    const groups = process.getgroups?.() ?? [];
    process.setgroups?.([...(identity.groups ?? [])]);
    process.setegid?.(identity.gid);
    process.seteuid?.(identity.uid);
    try {
      calls();
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
      process.setgroups?.(groups);
    }
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
