/** Policy backends behind one contract: the built-in one, `rules`, and engines of others, configured by a file with `kind:`. */
export type { Policy, PolicyBackend, Refresh, Verdict } from "./backend.js";
export { type DescribedQuestion, questionOf } from "./cases/described-question.js";
export { type PolicyCase, readPolicyCases, runPolicyCase } from "./cases/policy-cases.js";
export { openPolicyFile, rulesBackend } from "./file-backend.js";
export { loadPolicyFile } from "./load-file.js";
export { type BackendEvents, type LoadedPolicy, NO_BACKEND_EVENTS, type ShadowDifference } from "./policy-kind.js";
export { loadPolicy } from "./rules/load-policy.js";
export { type PolicyProblem, PolicyError, problemLine } from "./rules/problem.js";
export { publishPolicy } from "./source/publish.js";
export { durationMs, durationSchema } from "./document/duration.js";
export { FileReader } from "./document/file-reader.js";
export { type FileStats, OWN_DISK, type PolicyDisk } from "./document/policy-disk.js";
export { openDocument } from "./load-file.js";
export { connectJetStream, type JetStreamPublisher } from "./nats/jet-stream.js";
export type { NatsServers } from "./nats/connect-nats.js";
export { isExposedUrl } from "./remote/remote-options.js";
export { NATS_REMEDIES, NATS_SHAPE, natsServers } from "./nats/nats-options.js";
export { compileGlob, namesOf } from "./rules/glob.js";
