// A keeper whose server is a script of the test.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, descendantsOf, mountsBelow, openDescriptors, plant, fifo, file, scratch, bytes, directory } from "@sluice/testkit";

const KEEPER_MAIN = fileURLToPath(new URL("../../../packages/cli/dist/keeper-main.js", import.meta.url));
const HOSTILE = fileURLToPath(new URL("hostile-process.mjs", import.meta.url));

export interface AttackPaths {
  at: string;
  lower: string;
  mountpoint: string;
  outside: string;
}

export function attackPaths(): AttackPaths {
  const at = scratch();
  const lower = join(at, "lower");
  plant(at, { lower: directory(), mountpoint: directory(), run: directory(), bound: directory(), outside: file("not yours") });
  plant(lower, { file: file("yours"), fifo: fifo(), dir: directory() });
  mkdirSync(join(at, "run"), { recursive: true });
  return { at, lower, mountpoint: join(at, "mountpoint"), outside: join(at, "outside") };
}

export class AttackedKeeper {
  readonly exited: Promise<[number | null, NodeJS.Signals | null]>;
  log = "";
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #mountpoint: string;

  /** `nofile`: its limit of descriptors. */
  constructor(where: AttackPaths, attack: readonly string[], nofile = 1024) {
    const { at, lower, mountpoint } = where;
    this.#mountpoint = mountpoint;
    const plan = {
      mountpoint,
      source: "sluice",
      subtype: "sluice",
      flags: 1,
      allowOther: true,
      lowers: [lower],
      dataLowers: [],
    };
    const server = { file: process.execPath, argv: [HOSTILE, ...attack] };
    const config = join(at, "config.json");
    writeFileSync(config, JSON.stringify({ plan, server, serverConfig: "{}", runDirectory: join(at, "run") }));
    const fd = openSync(config, "r");
    this.#child = spawn("sh", ["-c", `ulimit -n ${nofile}; exec "$0" "$@"`, process.execPath, KEEPER_MAIN], {
      stdio: ["ignore", "pipe", "pipe", fd],
    });
    closeSync(fd);
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#lines.push(...text.split("\n").filter(Boolean)));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.log += text));
    this.exited = once(this.#child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    cleanUp(() => void this.#child.kill("SIGKILL"));
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }
  get serverPid(): number | undefined {
    return descendantsOf(this.pid)[0]?.pid;
  }
  descriptors(): string[] {
    return openDescriptors(this.pid);
  }
  mounted(): boolean {
    return mountsBelow(bytes(this.#mountpoint)).length > 0;
  }

  /** The next line that a server prints. */
  async said(): Promise<unknown> {
    for (let waited = 0; this.#lines.length === 0; waited += 10) {
      if (waited > 20_000) throw new Error(`the server says nothing:\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return JSON.parse(this.#lines.shift() ?? "");
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
