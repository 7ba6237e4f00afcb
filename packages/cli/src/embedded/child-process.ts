/** Starts the process of the embedded decision service. It inherits only what is named here. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { fileURLToPath } from "node:url";
import { check, native } from "@sluice/native";
import { childCode } from "./child-code.js";
import { ANSWERS_FD, LISTEN_FD, userArgument } from "./child-user.js";
import type { OwnUser, SharedUser } from "./decision-user.js";
import { PolicyFiles } from "./policy-files.js";

export const CHILD_MAIN = fileURLToPath(new URL("../decision-child.js", import.meta.url));

export interface ChildOptions {
  policyFile: string;
  user: OwnUser | SharedUser;
  listenFd: number;
  askTimeoutMs: number | undefined;
  /** The file of people's answers; undefined: there is none. */
  answersFd: number | undefined;
  logLevel: string;
  /** It writes its decisions to standard output, after the line that says that it serves. */
  logsDecisions: boolean;
  /** Undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
}

/**
 * It needs no environment variable, and some could change the code that it runs (NODE_OPTIONS). It does not use io_uring: a ring from
 * before it gave up its rights would keep them (CVE-2024-22017).
 */
function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: "/usr/bin:/bin", NODE_ENV: "production", UV_USE_IO_URING: "0" };
}

/** Variables for the connection to a collector: credentials, authorities, and the name of the machine. */
function collectorEnvironment(): NodeJS.ProcessEnv {
  const wanted = /^OTEL_(EXPORTER_OTLP|RESOURCE_ATTRIBUTES|BSP)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => wanted.test(name)));
}

export interface Spawned {
  child: ChildProcess;
  /** Undefined: the child has our uid, and reads files with our rights. */
  files: PolicyFiles | undefined;
}

/** Starts the child's program with these arguments. Its output comes through pipes: it gets no file or terminal of ours. */
export function spawnChild(
  { user, policyFile }: Pick<ChildOptions, "user" | "policyFile">,
  argv: readonly string[],
  { env = {}, listenFd, answersFd }: { env?: NodeJS.ProcessEnv; listenFd?: number; answersFd?: number | undefined } = {},
): Spawned {
  const code = childCode(CHILD_MAIN, user);
  const pair = new Int32Array(2);
  if (user.kind === "own") check(native.seqpacketPair(pair), "make a pair of sockets for the decision service");
  const [ours, theirs] = pair as unknown as [number, number];
  // In the order of the descriptors' numbers.
  const inherited = [user.kind === "own" ? theirs : undefined, listenFd, code.fd, answersFd].map((fd) => fd ?? "ignore");
  const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...inherited];
  const child = spawn(process.execPath, [...code.argv, userArgument(user), ...argv], {
    cwd: "/",
    env: { ...childEnvironment(), ...env },
    stdio,
    // A session of its own: Ctrl-C at the terminal must not end it, since it answers questions while the mount drains.
    detached: true,
  });
  if (code.fd !== undefined) native.close(code.fd);
  if (user.kind === "shared") return { child, files: undefined };
  native.close(theirs);
  const files = new PolicyFiles(ours, policyFile);
  child.once("close", () => files.close());
  return { child, files };
}

/** It writes one line to standard output when it serves. */
export function startChild(options: ChildOptions): Spawned {
  const argv = [
    "decision",
    `--policy=${options.policyFile}`,
    `--listen-fd=${LISTEN_FD}`,
    `--parent-death=${process.pid}`,
    `--only-pid=${process.pid}`,
    `--log-level=${options.logLevel}`,
  ];
  if (options.askTimeoutMs !== undefined) argv.push(`--ask-timeout=${options.askTimeoutMs}ms`);
  if (options.answersFd !== undefined) argv.push(`--answers-fd=${ANSWERS_FD}`);
  if (options.logsDecisions) argv.push("--decision-log=stdout");
  if (options.tracingEndpoint !== undefined) argv.push(`--tracing-endpoint=${options.tracingEndpoint}`);
  const env = options.tracingEndpoint === undefined ? {} : collectorEnvironment();
  return spawnChild(options, argv, { env, listenFd: options.listenFd, answersFd: options.answersFd });
}
