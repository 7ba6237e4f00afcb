/**
 * The process of the embedded decision service. It starts with its parent's rights, and gives all of them up before it reads a policy or a
 * question. The first record of its socket may name its user. Most of its code is loaded after that: a process that has to start again to lose its rights loads it once.
 */
import { getSystemErrorName } from "node:util";
import { leaveNow, native } from "@sluice/native";
import { CliError, EXIT, errorLine, refuseDebugger } from "@sluice/runtime/cli";
import { CHILD_DESCRIPTORS, type ChildUser, DROPPED, readUser } from "./embedded/child-user.js";

function refused(what: string, status: number): CliError {
  return new CliError({
    object: "decision service",
    problem: `cannot ${what}`,
    errno: getSystemErrorName(status),
    remedy: "run 'sluice decision' yourself and give --decision",
    exitCode: EXIT.MACHINE,
  });
}

/**
 * A process of root without another user to become keeps its uid and drops all capabilities. Capabilities belong to a thread, and Node has
 * several by now: so the program starts again, and with no_new_privs it gets no more than this thread has left.
 */
function loseCapabilities(): void {
  // -EPERM for the bounding set without CAP_SETPCAP; the other sets are limited even then.
  native.limitCapabilities(0n);
  const block = (strings: readonly string[]): Uint8Array => Buffer.from(strings.map((text) => `${text}\0`).join(""), "utf8");
  const [program = "", ...command] = process.argv.slice(1);
  const argv = [process.execPath, ...process.execArgv, program, DROPPED, ...command];
  const variables = Object.entries(process.env).map(([name, value]) => `${name}=${value ?? ""}`);
  throw refused("give up its capabilities", native.execve(process.execPath, block(argv), block(variables), CHILD_DESCRIPTORS));
}

function dropPrivileges(): ChildUser {
  const user = readUser(process.argv.splice(2, 1)[0]);
  native.setNoNewPrivileges();
  if (user.kind === "own") {
    // This drops every capability of every thread.
    const status = native.becomeUser(user.uid, user.gid);
    if (status < 0) throw refused(`become the user ${user.uid}`, status);
  }
  if (user.kind === "shared" && native.effectiveCapabilities() !== 0n) loseCapabilities();
  // Its memory has questions about everybody's files: only root may read it.
  native.setDumpable(false);
  return user;
}

async function run(): Promise<number> {
  let user: ChildUser;
  try {
    user = dropPrivileges();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(errorLine(error.message));
    return error.exitCode;
  }
  const { serveDecisions } = await import("./embedded/serve-decisions.js");
  return serveDecisions({ served: user.kind === "own", isAssigned: user.kind === "assigned" });
}

refuseDebugger();
const code = await run();
// Whoever reads it may be gone.
process.stdout.once("error", () => undefined);
await new Promise((resolve) => process.stdout.write("", resolve));
leaveNow(code);
