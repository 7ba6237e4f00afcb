/** Bounds of the contract, the same at both ends: a message that exceeds them is refused, never cut short. */

/** A digest, of a policy or of a file. */
export const SHA256_HEX = /^[0-9a-f]{64}$/;

/** Bounds of a question. A question over them is a denial: it cannot be judged whole. */
export const QUESTION_LIMITS = {
  /** Longer than PATH_MAX, since the tree may be deeper than one path can say. */
  pathBytes: 16_384,
  /** Names of one file (hard links). */
  paths: 256,
  /** All names of one file together. */
  allPathsBytes: 262_144,
  groups: 65_536,
  xattrs: 64,
  xattrBytes: 65_536,
  /** All values of them together: whoever may set them chooses how long they are, and a question must fit into a message. */
  allXattrsBytes: 1_048_576,
  headBytes: 4_096,
  /** Of the mount. */
  labels: 32,
  labelNameLength: 63,
  labelLength: 255,
  missing: 64,
  lookedFor: 128,
  /** Mount name, layer, executable, cgroup, names of facts and their reasons. */
  textLength: 8_192,
  idLength: 128,
} as const;

/** Bounds of an answer. */
export const ANSWER_LIMITS = {
  idLength: 128,
  nameLength: 256,
  reasonLength: 4_096,
  obligations: 32,
  /** Rules that set rates of one answer. */
  rates: 16,
  valueLength: 1_024,
  xattrs: 64,
  /** Globs that a scope excepts: each look-up of a cached answer may try them all. */
  except: 256,
  /** Some of the names are enough: one is all that it takes. */
  callerRules: 64,
  /** Alternatives of all patterns of hidden names: each look-up of a name may try them all. */
  hiddenNames: 1024,
} as const;

/** Bounds of a mount's reports to a console. */
export const REPORT_LIMITS = {
  layers: 64,
  grants: 100,
  /** Kinds of decisions in a second that have a name, and those that have none. */
  decisions: 1_024,
  /** Ways that bytes flow. */
  modes: 16,
  operations: 64,
  replicas: 32,
  textLength: 1_024,
} as const;

/** One gRPC message, both ways. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** The largest batch that a client sends. */
export const MAX_BATCH_QUESTIONS = 128;
/** The largest batch that a server takes: it refuses a larger one as overload. */
export const MAX_ACCEPTED_QUESTIONS = 1024;
