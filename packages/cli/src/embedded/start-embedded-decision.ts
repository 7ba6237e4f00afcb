/**
 * The embedded default: a decision service as a child process on a unix socket. The socket is ours and stays open, so
 * that a child that died can be replaced with no connection refused: callers wait in the socket's queue meanwhile.
 */
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import { CliError, EXIT } from "@sluice/runtime";
import type { DecisionHost, EmbeddedDecisionOptions } from "@sluice/service-mount";
import { checkPolicy } from "./check-policy.js";
import { KeptChild } from "./kept-child.js";

const SOCKET = "decision.sock";
const BACKLOG = 64;
const STDERR = 2;

function listen(path: string): number {
  rmSync(path, { force: true });
  // The path is made of hexadecimal digits and the system's own directories, or checked where the directory was made.
  const fd = native.unixListen(Buffer.from(path, "utf8").toString("latin1"), 0o600, BACKLOG);
  if (fd >= 0) return fd;
  throw new CliError({
    object: path,
    problem: `the decision service's socket cannot be made (errno ${-fd})`,
    remedy: "make /run writable or set XDG_RUNTIME_DIR",
    exitCode: EXIT.FAILED,
  });
}

/** Throws CliError where the policy does not check. Returns when the child is started; it may not serve yet. */
export async function startEmbeddedDecision(options: EmbeddedDecisionOptions): Promise<DecisionHost> {
  if (!options.goesOn) checkPolicy(options.policyFile);
  const path = join(options.runDirectory, SOCKET);
  const listenFd = listen(path);
  const logFd = options.logFile === undefined ? STDERR : openSync(options.logFile, "a");
  const { policyFile, logLevel, logger, tracingEndpoint, goesOn } = options;
  const child = new KeptChild({ policyFile, listenFd, logLevel, logFd, tracingEndpoint, goesOn }, logger);
  return {
    target: `unix://${path}`,
    failedToStart: child.failedToStart,
    close: async () => {
      await child.end();
      native.close(listenFd);
      // The socket's file goes with the run directory: the next mount there may have one by now.
      if (logFd !== STDERR) closeSync(logFd);
    },
  };
}
