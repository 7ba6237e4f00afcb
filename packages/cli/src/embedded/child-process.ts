/** How the embedded decision service's process is started: nothing of ours goes to it but what is named here. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const CHILD_MAIN = fileURLToPath(new URL("../decision-child.js", import.meta.url));
/** The first descriptor after standard input, output and error. */
const LISTEN_FD = 3;

export interface ChildOptions {
  policyFile: string;
  listenFd: number;
  logLevel: string;
  /** Where its log goes: a descriptor of ours. */
  logFd: number;
  /** Undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
}

/**
 * No variable of ours means anything to it, and some could change what it runs (NODE_OPTIONS). Without io_uring: a ring that
 * was set up before it gave up its rights would keep them (CVE-2024-22017).
 */
export function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: "/usr/bin:/bin", NODE_ENV: "production", UV_USE_IO_URING: "0" };
}

/** How a collector is to be talked to, and nothing else: credentials, authorities, what the machine is called. */
function collectorEnvironment(): NodeJS.ProcessEnv {
  const wanted = /^OTEL_(EXPORTER_OTLP|RESOURCE_ATTRIBUTES|BSP)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => wanted.test(name)));
}

/** Its standard output says one line when it serves. */
export function startChild(options: ChildOptions): ChildProcess {
  const argv = [
    CHILD_MAIN,
    "decision",
    `--policy=${options.policyFile}`,
    `--listen-fd=${LISTEN_FD}`,
    `--parent-death=${process.pid}`,
    `--log-level=${options.logLevel}`,
  ];
  if (options.tracingEndpoint !== undefined) argv.push(`--tracing-endpoint=${options.tracingEndpoint}`);
  return spawn(process.execPath, argv, {
    cwd: "/",
    env: { ...childEnvironment(), ...(options.tracingEndpoint === undefined ? {} : collectorEnvironment()) },
    stdio: ["ignore", "pipe", options.logFd, options.listenFd],
    // A session of its own: Ctrl-C at our terminal is ours to handle, and questions are still answered while we drain.
    detached: true,
  });
}
