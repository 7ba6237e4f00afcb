/** The work of an embedded decision process, after it has given up its rights. */
import { runCli } from "@sluice/runtime/cli";
import { SOCKET_FD } from "./child-user.js";
import { SERVE_LATER_POLICIES, SERVE_POLICIES } from "./policy-records.js";
import { ServedDisk } from "./served-disk.js";

/** Runs `sluice policy check`. `served`: the mount reads the files of the policy for it. */
async function checkPolicy(served: boolean): Promise<number> {
  const [{ Command }, { addPolicyCommands }] = await Promise.all([import("commander"), import("@sluice/service-decision/commands")]);
  const disk = served ? new ServedDisk(SOCKET_FD) : undefined;
  const program = new Command("sluice");
  addPolicyCommands(program, disk);
  const code = await runCli(program);
  disk?.close();
  return code;
}

/** `served`: as above, for each policy. `isAssigned`: it gets its user later. @returns the exit code */
export async function serveDecisions({ served, isAssigned }: { served: boolean; isAssigned: boolean }): Promise<number> {
  const [word, parent, tracingEndpoint] = process.argv.slice(2);
  if (word !== SERVE_POLICIES && word !== SERVE_LATER_POLICIES) return checkPolicy(served);
  const { servePolicies } = await import("./serve-policies.js");
  return servePolicies({ parentPid: Number(parent), tracingEndpoint, isAssigned, isEarly: word === SERVE_LATER_POLICIES });
}
