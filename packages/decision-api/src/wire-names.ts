/** The words of the domain and the numbers of the wire, one row each. A number without a row is unknown. */
import type { Access, Effect, FileKind, Operation, ResourceFact, StatedOutage, SubjectField } from "./domain.js";
import {
  Access as WireAccess,
  Effect as WireEffect,
  FileKind as WireKind,
  Operation as WireOperation,
  OutageMode as WireOutage,
  ResourceFact as WireFact,
  SubjectField as WireField,
} from "./gen/sluice/decision/v1/decision.js";

export const WIRE_EFFECT: Readonly<Record<Effect, WireEffect>> = {
  grant: WireEffect.GRANT,
  mediate: WireEffect.MEDIATE,
  ask: WireEffect.ASK,
  deny: WireEffect.DENY,
};

export const WIRE_ACCESS: Readonly<Record<Access, WireAccess>> = {
  read: WireAccess.READ,
  write: WireAccess.WRITE,
  execute: WireAccess.EXECUTE,
  create: WireAccess.CREATE,
  delete: WireAccess.DELETE,
  link: WireAccess.LINK,
  rename: WireAccess.RENAME,
  truncate: WireAccess.TRUNCATE,
  metadata: WireAccess.METADATA,
};

export const WIRE_OPERATION: Readonly<Record<Operation, WireOperation>> = {
  open: WireOperation.OPEN,
  create: WireOperation.CREATE,
  tmpfile: WireOperation.TMPFILE,
  mknod: WireOperation.MKNOD,
  mkdir: WireOperation.MKDIR,
  symlink: WireOperation.SYMLINK,
  link: WireOperation.LINK,
  rename: WireOperation.RENAME,
  unlink: WireOperation.UNLINK,
  rmdir: WireOperation.RMDIR,
  setattr: WireOperation.SETATTR,
};

export const WIRE_KIND: Readonly<Record<FileKind, WireKind>> = {
  regular: WireKind.REGULAR,
  directory: WireKind.DIRECTORY,
  symlink: WireKind.SYMLINK,
  "character-device": WireKind.CHARACTER_DEVICE,
  "block-device": WireKind.BLOCK_DEVICE,
  fifo: WireKind.FIFO,
  socket: WireKind.SOCKET,
};

export const WIRE_FIELD: Readonly<Record<SubjectField, WireField>> = {
  uid: WireField.UID,
  gid: WireField.GID,
  groups: WireField.GROUPS,
  executable: WireField.EXECUTABLE,
  cgroup: WireField.CGROUP,
};

export const WIRE_FACT: Readonly<Record<ResourceFact, WireFact>> = {
  layer: WireFact.LAYER,
  kind: WireFact.KIND,
  size: WireFact.SIZE,
  mode: WireFact.MODE,
  owner: WireFact.OWNER,
  content: WireFact.CONTENT,
  digest: WireFact.DIGEST,
};

export const WIRE_OUTAGE: Readonly<Record<StatedOutage, WireOutage>> = {
  deny: WireOutage.DENY,
  mediate: WireOutage.MEDIATE,
  stale: WireOutage.STALE,
  "stale-unless-deny": WireOutage.STALE_UNLESS_DENY,
};

/** The largest time of a Date. */
export const LAST_DATE_MS = 8_640_000_000_000_000n;

function invert<Word extends string>(table: Readonly<Record<Word, number>>): ReadonlyMap<number, Word> {
  return new Map((Object.keys(table) as Word[]).map((word) => [table[word], word]));
}

export const EFFECT_OF = invert(WIRE_EFFECT);
export const ACCESS_OF = invert(WIRE_ACCESS);
export const OPERATION_OF = invert(WIRE_OPERATION);
export const KIND_OF = invert(WIRE_KIND);
export const FIELD_OF = invert(WIRE_FIELD);
export const FACT_OF = invert(WIRE_FACT);
export const OUTAGE_OF = invert(WIRE_OUTAGE);
