/** How the embedded decision service's process is started: nothing of ours goes to it but what is named here. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { fileURLToPath } from "node:url";
import { userArgument } from "./child-user.js";
import type { OwnUser, SharedUser } from "./decision-user.js";

export const CHILD_MAIN = fileURLToPath(new URL("../decision-child.js", import.meta.url));
/** The first descriptor after standard input, output and error. */
const LISTEN_FD = 3;
/** Standard input, output and error, and the socket. */
export const CHILD_DESCRIPTORS = LISTEN_FD + 1;

export interface ChildOptions {
  policyFile: string;
  user: OwnUser | SharedUser;
  listenFd: number;
  logLevel: string;
  /** Undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
}

/**
 * No variable of ours means anything to it, and some could change what it runs (NODE_OPTIONS). Without io_uring: a ring that
 * was set up before it gave up its rights would keep them (CVE-2024-22017).
 */
function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: "/usr/bin:/bin", NODE_ENV: "production", UV_USE_IO_URING: "0" };
}

/** How a collector is to be talked to, and nothing else: credentials, authorities, what the machine is called. */
function collectorEnvironment(): NodeJS.ProcessEnv {
  const wanted = /^OTEL_(EXPORTER_OTLP|RESOURCE_ATTRIBUTES|BSP)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => wanted.test(name)));
}

/** The child's program with these arguments, as `user`. Its output comes by pipes: no file or terminal of ours goes to it. */
export function spawnChild(
  user: OwnUser | SharedUser,
  argv: readonly string[],
  { env = {}, handed = [] }: { env?: NodeJS.ProcessEnv; handed?: readonly number[] } = {},
): ChildProcess {
  const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...handed];
  return spawn(process.execPath, [CHILD_MAIN, userArgument(user), ...argv], {
    cwd: "/",
    env: { ...childEnvironment(), ...env },
    stdio,
    // A session of its own: Ctrl-C at our terminal is ours to handle, and questions are still answered while we drain.
    detached: true,
  });
}

/** Its standard output says one line when it serves. */
export function startChild(options: ChildOptions): ChildProcess {
  const argv = [
    "decision",
    `--policy=${options.policyFile}`,
    `--listen-fd=${LISTEN_FD}`,
    `--parent-death=${process.pid}`,
    `--only-pid=${process.pid}`,
    `--log-level=${options.logLevel}`,
  ];
  if (options.tracingEndpoint !== undefined) argv.push(`--tracing-endpoint=${options.tracingEndpoint}`);
  const env = options.tracingEndpoint === undefined ? {} : collectorEnvironment();
  return spawnChild(options.user, argv, { env, handed: [options.listenFd] });
}
