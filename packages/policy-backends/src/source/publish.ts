/** Puts a policy where replicas take it from: into the bucket that a configuration of `kind: nats` names, once it checks. */
import { FileReader, MAX_POLICY_BYTES } from "../document/file-reader.js";
import { DeliveredFiles, UnreadableFile } from "../document/policy-files.js";
import { beginLoad, openDocument } from "../load-file.js";
import { natsServers } from "../nats/nats-options.js";
import { type LoadedPolicy, NO_BACKEND_EVENTS } from "../policy-kind.js";
import { PolicyError } from "../rules/problem.js";
import { readDelivered } from "./delivered.js";
import { natsKind, type NatsPolicyOptions, publishToNats } from "./nats-kind.js";
import { ENTRY } from "./policy-location.js";

function mistake(file: string, message: string, remedy: string): PolicyError {
  return new PolicyError(file, [{ severity: "error", line: 1, column: 1, message, remedy }]);
}

function read(file: string, maxBytes: number): Buffer {
  try {
    return new FileReader().read(file, maxBytes);
  } catch (error) {
    if (error instanceof UnreadableFile) throw mistake(file, error.problem, error.remedy);
    throw error;
  }
}

function targetOf(file: string, warned: (warning: Error) => void): { options: NatsPolicyOptions; servers: ReturnType<typeof natsServers> } {
  const { document, context } = openDocument(file, natsKind.schema, natsKind.words, new FileReader());
  return { options: document, servers: natsServers(document, context, warned) };
}

/** As every replica will: every file that the policy names must be in the bundle. */
async function check(file: string, bytes: Buffer, skipVerify: boolean | undefined): Promise<LoadedPolicy> {
  const { files } = await readDelivered(bytes, ENTRY, skipVerify).catch((error: Error) => {
    const [problem = "", ...remedy] = error.message.split(": ");
    throw mistake(file, problem, remedy.join(": ") || "rebuild it");
  });
  try {
    const load = beginLoad({ file: `/${ENTRY}`, reader: new DeliveredFiles(files), events: NO_BACKEND_EVENTS, depth: 0, busy: false });
    const loaded = load.state === "done" ? load.loaded : await load.finish();
    await loaded.engine.dispose();
    return loaded;
  } catch (error) {
    throw error instanceof PolicyError ? new PolicyError(file, error.problems, { cause: error }) : error;
  }
}

/** `file`: a policy file or a bundle; it gets a revision above `above`. Rejects with `PolicyError` if it or the configuration is invalid. */
export async function publishPolicy(
  file: string,
  configuration: string,
  above: bigint,
  warned: (warning: Error) => void,
): Promise<{ sequence: bigint; digest: string; place: string }> {
  const { options, servers } = targetOf(configuration, warned);
  const bytes = read(file, MAX_POLICY_BYTES);
  const { policy } = await check(file, bytes, options.skipVerify);
  const sequence = await publishToNats(options, servers, { bytes, above });
  return { sequence, digest: policy.revision.digest, place: `bucket ${options.bucket}` };
}
