// A mount of the process that test files share, in place of a `sluice mount`: its lines, its end, and requests to end it.
import { mountPlainly, NeedsOwnProcess } from "@sluice/host-api/plain";
import type { MountServer, SluiceExit } from "./mount-server.js";

export interface Host {
  socket: string;
  pid: number;
  /** Of its whole life, and at least of the last mount. */
  output: { stdout: string; stderr: string };
}

/** The service has the mount namespace of the test. */
const SAME = 0;

interface Option {
  name: string;
  values: string[];
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at < 0 || !word.startsWith("--") ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/** The contract names options without dashes, and -o by its long name. */
function optionsOf(argv: readonly string[]): Option[] {
  const options = new Map<string, Option>();
  for (let at = 0; at < argv.length; at++) {
    const [word, joined] = splitOnce(argv[at] ?? "");
    const next = argv[at + 1];
    const hasNext = joined === undefined && next !== undefined && !/^-\D/.test(next);
    const value = hasNext ? argv[++at] : joined;
    const name = word === "-o" ? "options" : word.slice(2);
    const option = options.get(name) ?? { name, values: [] };
    if (value !== undefined) option.values.push(value);
    options.set(name, option);
  }
  return [...options.values()];
}

/** With the fields of a `CliError`, which the test kit does not import. */
type Failure = Error & { exitCode?: number; complaint?: Failure };

export class HostedServer implements MountServer {
  readonly exited: Promise<SluiceExit>;
  /** Resolves once it serves, or has ended. */
  readonly ready: Promise<void>;
  readonly output: MountServer["output"];
  readonly isKept = false;
  readonly server = undefined;
  ended = false;
  needsOwnProcess = false;
  #stdout = "";
  #stderr = "";
  #name: string;
  #stop: () => void = () => undefined;

  /** Begins to mount, with these arguments of `sluice mount` before the mount point. */
  constructor(
    private readonly host: Host,
    argv: readonly string[],
    private readonly mountpoint: string,
  ) {
    const stdout = (): string => this.#stdout;
    const stderr = (): string => this.#stderr + this.#log();
    this.output = {
      get stdout() {
        return stdout();
      },
      get stderr() {
        return stderr();
      },
    };
    let tellReady = (): void => undefined;
    this.ready = new Promise((resolve) => (tellReady = resolve));
    const options = optionsOf(argv);
    this.#name = options.find(({ name }) => name === "name")?.values.at(-1) ?? mountpoint;
    this.exited = this.#run(options, tellReady);
    void this.exited.then(tellReady);
  }

  /** Its lines in the log of the process. */
  #log(): string {
    const mark = `"mount":${JSON.stringify(this.#name)}`;
    const lines = this.host.output.stderr.split("\n").filter((line) => line.includes(mark));
    return lines.map((line) => `${line}\n`).join("");
  }

  async #run(options: Option[], tellReady: () => void): Promise<SluiceExit> {
    const { mountpoint } = this;
    const spec = { mountpoint, options, directory: process.cwd(), attached: true, abandonedAtEnd: false, mountNamespace: SAME };
    const follower = {
      announce: (line: string): void => {
        this.#stdout += line;
        tellReady();
      },
      tell: (line: string) => void (this.#stderr += `sluice: ${mountpoint}: ${line}\n`),
      onStop: (stop: () => void) => {
        this.#stop = stop;
        return () => undefined;
      },
    };
    try {
      await mountPlainly(this.host.socket, spec, follower);
      return { code: 0, signal: null };
    } catch (error) {
      this.needsOwnProcess = error instanceof NeedsOwnProcess;
      const { message, exitCode = 1 } = error as Failure;
      this.#stderr += `sluice: ${message}\n`;
      return { code: exitCode, signal: null };
    } finally {
      this.ended = true;
    }
  }

  get pid(): number {
    return this.host.pid;
  }

  /** None is this mount's alone. */
  family(): [] {
    return [];
  }

  signal(signal: NodeJS.Signals): void {
    if (signal !== "SIGTERM" && signal !== "SIGINT")
      throw new Error(`${signal} would strike other mounts: give this one ownProcess, or its file no mountsShareProcess()`);
    this.#stop();
  }

  resume(): void {
    // Nothing stops it.
  }

  readyLine(): string | undefined {
    return this.#stdout.split("\n").find((line) => line.startsWith("mounted "));
  }
}
