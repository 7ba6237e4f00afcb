/** A mount whose upper layer becomes a lower one while it is in use, as a fork of a session does it; and the proof that the old one stays as it is. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { diffSnapshots, layers, mountSluice, type Snapshot, type SluiceMount, snapshot, type Tree } from "@sluice/testkit";
import { expect } from "vitest";

const PARTS = ["upper", "work", "base"];

export interface RestackedOptions {
  lower: Tree;
  policy?: string;
  args?: readonly string[];
}

/** Content, modes, owners, times and attributes; times of change and link counts, which a write that was undone would move. */
interface Recording {
  entries: Snapshot;
  changes: string;
}

function changesIn(path: string): string {
  return execFileSync("find", [path, "-printf", String.raw`%P %i %n %C@\n`], { encoding: "utf8" });
}

export class RestackedMount {
  mount!: SluiceMount;
  /** The lower layers, the topmost first. */
  readonly lowers: string[];
  readonly #root: string;
  readonly #options: RestackedOptions;
  readonly #recordings = new Map<string, Recording>();

  private constructor(root: string, lower: string, options: RestackedOptions) {
    this.#root = root;
    this.#options = options;
    this.lowers = [lower];
  }

  static async start(options: RestackedOptions): Promise<RestackedMount> {
    const { root, lower } = layers({ lower: options.lower });
    const made = new RestackedMount(root, lower, options);
    for (const part of ["upper", "work", "base"]) mkdirSync(made.own(part), { recursive: true });
    await made.start();
    return made;
  }

  /** In the directory of the upper layer. */
  own(...names: string[]): string {
    return join(this.#root, "own", ...names);
  }

  async start(): Promise<void> {
    const { policy, args = [] } = this.#options;
    this.mount = await mountSluice({
      ...{ lowers: this.lowers, upper: this.own("upper"), work: this.own("work") },
      ...(policy === undefined ? {} : { sharedPolicy: policy }),
      args: ["--record-base", this.own("base"), "--control", join(this.#root, "control.sock"), ...args],
    });
  }

  path(...names: string[]): string {
    return this.mount.path(...names);
  }

  /** Asks for it. The directories get their names as in a session. `stray`: files that are in them. @returns the answer, with the reason of "unfit" */
  async restack(stray: Readonly<Record<string, string>> = {}): Promise<string> {
    for (const part of PARTS) mkdirSync(this.own("next", part), { recursive: true });
    for (const [name, content] of Object.entries(stray)) writeFileSync(this.own("next", name), content);
    const former = join(this.#root, `frozen-${this.lowers.length}`);
    const answer = await this.ask({ method: "restack", next: "next", taken: "taken", formerPath: join(former, "upper") });
    if (answer !== "yes") {
      execFileSync("rm", ["-r", this.own("next")]);
      return answer;
    }
    mkdirSync(former);
    for (const part of PARTS) renameSync(this.own(part), join(former, part));
    for (const part of PARTS) renameSync(this.own("taken", part), this.own(part));
    rmdirSync(this.own("taken"));
    const frozen = join(former, "upper");
    this.lowers.unshift(frozen);
    this.#recordings.set(frozen, { changes: changesIn(frozen), entries: snapshot(frozen, { atime: true, hardLinks: true }) });
    return answer;
  }

  /** Sends a request to the mount's server. @returns its answer */
  async ask(request: object): Promise<string> {
    const socket = connect(join(this.#root, "control.sock"));
    socket.write(`${JSON.stringify(request)}\n`);
    const [first = "{}"] = (await text(socket)).split("\n");
    const { item, error } = JSON.parse(first) as { item?: { restacked: string; reason: string }; error?: string };
    return item === undefined ? `error: ${error}` : item.restacked + (item.reason === "" ? "" : `: ${item.reason}`);
  }

  /** Each layer that was the upper one is as it was when it ceased to be that. */
  expectUnchanged(): void {
    for (const [path, { entries, changes }] of this.#recordings) {
      expect(diffSnapshots(snapshot(path, { atime: true, hardLinks: true }), entries)).toEqual([]);
      expect(changesIn(path)).toBe(changes);
    }
  }
}
