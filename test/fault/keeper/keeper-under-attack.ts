// A keeper whose server is a script of the test.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, lchownSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cleanUp,
  descendantsOf,
  mountsBelow,
  openDescriptors,
  plant,
  fifo,
  file,
  symlink,
  scratch,
  bytes,
  directory,
  scriptOutput,
} from "@sluice/testkit";

const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
/** As the commands in bin/ choose it. */
const { hasBundle } = createRequire(import.meta.url)("../../../packages/runtime/bin/start.cjs") as { hasBundle(): boolean };
const KEEPER_MAIN = join(REPOSITORY, hasBundle() ? "bundle" : "", "packages/cli/dist/keeper-main.js");
const HOSTILE = fileURLToPath(new URL("hostile-process.mjs", import.meta.url));

export interface AttackPaths {
  at: string;
  lower: string;
  mountpoint: string;
  outside: string;
  /** The ordinary user who had the mount made. */
  caller?: { uid: number; gid: number; groups: number[] };
}

export function attackPaths(): AttackPaths {
  const at = scratch();
  const lower = join(at, "lower");
  plant(at, { lower: directory(), mountpoint: directory(), run: directory(), bound: directory(), outside: file("not yours") });
  plant(lower, { file: file("yours"), fifo: fifo(), dir: directory() });
  mkdirSync(join(at, "run"), { recursive: true });
  return { at, lower, mountpoint: join(at, "mountpoint"), outside: join(at, "outside") };
}

export const USER = { uid: 12_345, gid: 12_345 };

/** The same with an upper layer that the user chose, in which others have files. */
export async function attackPathsOfUser(): Promise<AttackPaths> {
  const where = attackPaths();
  const { at, lower } = where;
  chmodSync(join(lower, "file"), 0o666);
  plant(at, { upper: directory(USER), work: directory(USER) });
  plant(join(at, "upper"), {
    readable: file("theirs", { mode: 0o644 }),
    writable: file("theirs", { mode: 0o622 }),
    shared: file("theirs", { mode: 0o666 }),
    own: file("own", { mode: 0o400, ...USER }),
    log: file("own", USER),
    fixed: file("own", USER),
  });
  plant(lower, {
    "own-file": file("own", { mode: 0, ...USER }),
    "own-directory/": directory({ mode: 0, ...USER }),
    "own-directory/theirs": file("theirs", { mode: 0o600 }),
    "own-directory/link": symlink("elsewhere"),
    "own-fifo": fifo({ mode: 0, ...USER }),
    theirs: file("theirs", { mode: 0o600 }),
    "their-directory/": directory({ mode: 0o700 }),
    "their-directory/in": file("theirs"),
    fixed: file("own", { mode: 0, ...USER }),
    link: symlink("/etc/shadow"),
  });
  lchownSync(join(lower, "link"), USER.uid, USER.gid);
  for (const [flag, name] of [
    ["a", "upper/log"],
    ["i", "upper/fixed"],
    ["i", "lower/fixed"],
  ] as const) {
    const path = join(at, name);
    await scriptOutput(["chattr", `+${flag}`, path]);
    cleanUp(async () => void (await scriptOutput(["chattr", `-${flag}`, path])));
  }
  return { ...where, caller: { ...USER, groups: [] } };
}

/** The descriptors of a caller, as a host service hands them over, and the plan that names them. */
function placesOf({ at, lower, mountpoint, caller }: AttackPaths): { fds: number[]; plan: object; user: object } {
  if (caller === undefined) return { fds: [], plan: {}, user: {} };
  const paths = [mountpoint, lower, at, join(at, "upper"), join(at, "work")];
  const places = { mountpoint: 4, lowers: [5], above: 6, upper: 7, work: 8 };
  return {
    fds: paths.map((path) => openSync(path, "r")),
    plan: { flags: 0, allowOther: false, owner: USER, upper: paths[3], work: paths[4], caller: { ...caller, places } },
    user: { user: USER },
  };
}

function isHostile(pid: string, at: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words.includes(HOSTILE) && words.some((word) => word.startsWith(at));
  } catch {
    return false;
  }
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
    const given = placesOf(where);
    const plan = {
      mountpoint,
      source: "sluice",
      subtype: "sluice",
      flags: 1,
      allowOther: true,
      lowers: [lower],
      dataLowers: [],
      ...given.plan,
    };
    // No attack reads its last argument, by which the server is found if its keeper leaves it behind.
    const server = { file: process.execPath, argv: [HOSTILE, ...attack, at] };
    const config = join(at, "config.json");
    writeFileSync(config, JSON.stringify({ plan, server, serverConfig: "{}", runDirectory: join(at, "run"), ...given.user }));
    const fd = openSync(config, "r");
    this.#child = spawn("sh", ["-c", `ulimit -n ${nofile}; exec "$0" "$@"`, process.execPath, KEEPER_MAIN, "a test", "3"], {
      stdio: ["ignore", "pipe", "pipe", fd, ...given.fds],
    });
    for (const each of [fd, ...given.fds]) closeSync(each);
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#lines.push(...text.split("\n").filter(Boolean)));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.log += text));
    this.exited = once(this.#child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    cleanUp(() => this.#endAll(at));
  }

  /** A test that failed may leave the keeper, its server, which ends for no signal but SIGKILL, and the mount. */
  async #endAll(at: string): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
      if (isHostile(pid, at)) process.kill(Number(pid), "SIGKILL");
    if (this.mounted()) spawnSync("umount", ["-l", this.#mountpoint]);
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
