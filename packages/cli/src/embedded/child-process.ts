/** Starts the processes of embedded decision services. They inherit only what is named here. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { fileURLToPath } from "node:url";
import { check, native } from "@sluice/native";
import { childCode } from "./child-code.js";
import { ASSIGNED, userArgument } from "./child-user.js";
import type { OwnUser, SharedUser } from "./decision-user.js";
import { PolicyFiles } from "./policy-files.js";
import { SERVE_LATER_POLICIES, SERVE_POLICIES } from "./policy-records.js";

const CHILD_MAIN = fileURLToPath(new URL("../decision-child.js", import.meta.url));

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
  /** Our end of its socket, which the caller closes; undefined if it has none. */
  socket: number | undefined;
}

/** Starts the child's program with these arguments. Its output comes through pipes: it gets no file or terminal of ours. */
function spawnChild(
  user: OwnUser | SharedUser,
  argv: readonly string[],
  { hasSocket, env = {}, as = userArgument(user) }: { hasSocket: boolean; env?: NodeJS.ProcessEnv; as?: string },
): Spawned {
  const code = childCode(CHILD_MAIN, user);
  const pair = new Int32Array(2);
  if (hasSocket) check(native.seqpacketPair(pair), "make a pair of sockets for the decision service");
  const [ours, theirs] = pair as unknown as [number, number];
  // In the order of the descriptors' numbers.
  const inherited = [hasSocket ? theirs : undefined, code.fd].map((fd) => fd ?? "ignore");
  const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...inherited];
  const child = spawn(process.execPath, [...code.argv, as, ...argv], {
    cwd: "/",
    env: { ...childEnvironment(), ...env },
    stdio,
    // A session of its own: Ctrl-C at the terminal must not end it, since it answers questions while the mount drains.
    detached: true,
  });
  if (code.fd !== undefined) native.close(code.fd);
  if (hasSocket) native.close(theirs);
  return { child, socket: hasSocket ? ours : undefined };
}

/** A process that checks a policy. */
export function spawnCheck(user: OwnUser | SharedUser, policyFile: string): ChildProcess {
  const { child, socket } = spawnChild(user, ["policy", "check", "--json", policyFile], { hasSocket: user.kind === "own" });
  if (socket === undefined) return child;
  const files = new PolicyFiles(socket, policyFile);
  child.once("close", () => files.close());
  return child;
}

export interface DecisionsOptions {
  /** Undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
  /** Its first record names its user. */
  isAssigned?: boolean;
  /** Nobody waits for its first policy yet. */
  isEarly?: boolean;
}

/** A process that answers for the policies of which it gets records. */
export function spawnDecisions(
  user: OwnUser | SharedUser,
  { tracingEndpoint, isAssigned = false, isEarly = isAssigned }: DecisionsOptions,
): { child: ChildProcess; socket: number } {
  const argv = [
    isEarly ? SERVE_LATER_POLICIES : SERVE_POLICIES,
    `${process.pid}`,
    ...(tracingEndpoint === undefined ? [] : [tracingEndpoint]),
  ];
  const env = tracingEndpoint === undefined ? {} : collectorEnvironment();
  const { child, socket } = spawnChild(user, argv, { hasSocket: true, env, as: isAssigned ? ASSIGNED : userArgument(user) });
  return { child, socket: socket as number };
}
