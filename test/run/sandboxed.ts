// A project of a caller, and `sluice run` in it: as root, which passes through, and as an ordinary user in a user namespace.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  asOrdinaryUser,
  everyOther,
  mountsShareProcess,
  ORDINARY_USER,
  type RunningScript,
  runScript,
  scratch,
  type ScriptResult,
  sharedHost,
  startScript,
} from "@sluice/testkit";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { startForUsers } from "../e2e/host-service/user-home.js";
import { Terminal } from "./terminal.js";

export const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));
const LIMIT_MS = 120_000;

export const NEEDS = ["/dev/fuse", "CAP_SYS_ADMIN", "user namespaces", "command bwrap", "checkout that every user can read"] as const;

export const CALLERS = ["root", "an ordinary user"] as const;
export type Caller = (typeof CALLERS)[number];

export const uidOf = (caller: Caller): number => (caller === "root" ? 0 : ORDINARY_USER.uid);

type Test = (name: string, body: () => Promise<void>, limitMs?: number) => void;

/**
 * In `describe.each(CALLERS)`, for tests that few lines of code treat differently: every other test runs as root, and the rest as an
 * ordinary user. `seed` says which. `npm run test:soak sessions` runs each as both.
 */
export function testsInTurn(caller: Caller, test: Test, seed: number): Test {
  return everyOther(test, seed + CALLERS.indexOf(caller));
}

/** "" if the process has ended. */
export function procFile(pid: number | string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}

/** A user of the same mount namespace as the host service, which has no passwd entry there. */
const AS_USER = ["setpriv", `--reuid=${ORDINARY_USER.uid}`, `--regid=${ORDINARY_USER.gid}`, "--clear-groups"];

/** A host service. */
interface Host {
  readonly socket: string;
}

let hostOfRoot: Host | undefined;

/** At the top of a file that is about sessions, and not about how they are mounted: one process mounts the views of root's sessions. */
export function rootsViewsShareProcess(): void {
  mountsShareProcess();
  beforeAll(async () => {
    hostOfRoot = await sharedHost();
  });
  afterAll(() => {
    hostOfRoot = undefined;
  });
}

/** With SLUICE_RUN_BY_SERVICE the views of all projects are mounted by a host service. */
let everyHost: Host | undefined;
if (process.env["SLUICE_RUN_BY_SERVICE"] !== undefined)
  beforeEach(async () => {
    everyHost = await startForUsers(16);
  });

export class Project {
  readonly base: string;
  readonly state: string;
  readonly #home: string;
  readonly host: Host | undefined;
  /** Of an ordinary user without a host service: the further groups. */
  groups: readonly number[] = [];

  /**
   * `files`: the content of each, by its path below the directory. They belong to the caller. `host` mounts the views; with "none" the
   * sessions do in any case.
   */
  constructor(
    readonly caller: Caller,
    files: Readonly<Record<string, string>>,
    root = scratch(),
    host: Host | "none" | undefined = everyHost ?? (caller === "root" ? hostOfRoot : undefined),
  ) {
    this.host = host === "none" ? undefined : host;
    this.base = join(root, "project");
    this.state = join(root, "state");
    this.#home = join(root, "home");
    for (const path of [this.base, this.state, this.#home]) mkdirSync(path);
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.base, path)), { recursive: true });
      writeFileSync(join(this.base, path), content);
    }
    if (caller !== "root") execFileSync("chown", ["-R", `${ORDINARY_USER.uid}:${ORDINARY_USER.gid}`, root]);
    if (caller !== "root" && this.host !== undefined) this.#passable(root);
  }

  /** Every user may pass the directories above it. */
  #passable(root: string): void {
    for (let at = dirname(root); at !== "/tmp" && at !== "/"; at = dirname(at)) chmodSync(at, statSync(at).mode | 0o011);
  }

  /** $HOME of an ordinary user is made by asOrdinaryUser, without a host service. `shell`: text that runs `"$@"`. */
  #argv(words: readonly string[], shell: string): string[] {
    const argv = ["bash", "-c", shell, "sh", process.execPath, CLI, ...words];
    if (this.caller === "root") return argv;
    return this.host === undefined ? asOrdinaryUser(argv, this.groups) : [...AS_USER, ...argv];
  }

  #env(env: Readonly<Record<string, string>>): Record<string, string> {
    // The programs of the tests lie in /tmp, which is another one for the command.
    const own = this.host === undefined ? { SLUICE_HOST_SERVICE: "off" } : { SLUICE_HOST_SERVICE: this.host.socket, XDG_RUNTIME_DIR: "" };
    return { HOME: this.#home, XDG_STATE_HOME: this.state, PATH: "/usr/local/bin:/usr/bin:/bin", ...own, ...env };
  }

  /** Runs `sluice` with these words in the project. `before` is shell text that runs first, as the caller. */
  sluice(
    words: readonly string[],
    { before = "", env = {}, cwd = this.base }: { before?: string; env?: Record<string, string>; cwd?: string } = {},
  ): Promise<ScriptResult> {
    return runScript(this.#argv(words, `${before}\nexec "$@"`), { cwd, env: this.#env(env), timeoutMs: LIMIT_MS });
  }

  /** `terminal`: on a terminal of its own, whose output is standard output. `files`: redirections of its standard files, for the shell. No shell is left on it that a key could end. */
  start(
    words: readonly string[],
    { terminal = false, files = "", env = {} }: { terminal?: boolean; files?: string; env?: Record<string, string> } = {},
  ): RunningScript {
    const argv = this.#argv(words, 'exec "$@"');
    const quoted = argv.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(" ");
    const command = terminal ? ["script", "--quiet", "--return", "--command", `exec ${quoted} ${files}`, "/dev/null"] : argv;
    return startScript(command, { cwd: this.base, env: this.#env(env), timeoutMs: LIMIT_MS });
  }

  /** Starts `sluice` on a terminal whose first program is a shell, with the text `shell`. */
  onTerminal(words: readonly string[], { shell = 'exec "$@"', rows = 24, columns = 80 } = {}): Terminal {
    return new Terminal(this.#argv(words, shell), { cwd: this.base, env: { ...this.#env({}), TERM: "xterm" }, rows, columns });
  }

  /** A path in the directory of a session. */
  session(name: string, path = ""): string {
    return join(this.state, "sluice/sessions", name, path);
  }

  /** The processes whose command line names the state of this project: the runner, and the server of its mount. */
  processes(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && procFile(name, "cmdline").includes(this.state))
      .map(Number);
  }

  exists(path: string): boolean {
    return existsSync(join(this.base, path));
  }
}
