/** Checks that the files of the decision options can be read. The decision service and gRPC judge their content. */
import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import { codeOf, wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";

function checkReadable(path: string | undefined, role: string): void {
  if (path === undefined) return;
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw wrong(path, `the ${role} cannot be read (${codeOf(error)})`, "correct the name or its permissions");
  }
}

function checkDirectory(path: string | undefined, role: string): void {
  if (path === undefined) return;
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw wrong(path, `the ${role} cannot be created there (${codeOf(error)})`, "create its directory or choose another one");
  }
}

export function checkDecisionFiles(config: MountConfig): void {
  const { decision } = config;
  if (decision.kind === "embedded") checkReadable(decision.policyFile, "policy file");
  if (decision.kind === "remote") {
    checkReadable(decision.tls?.caFile, "certificate authority");
    checkReadable(decision.tls?.certFile, "certificate");
    checkReadable(decision.tls?.keyFile, "key");
  }
  checkDirectory(config.logFile, "log file");
  checkDirectory(config.control, "control socket");
}
