export type { DirectoryRecord, FileRecord, HandleRecords } from "./handle-records.js";
export { Journal } from "./journal.js";
export { FORMAT_VERSION, JOURNAL_BYTES, JournalError, type JournalMemory } from "./layout.js";
export type { LockRecord, LockRecords } from "./lock-records.js";
export { NameHash } from "./name-hash.js";
export { type LinkKey, NodeFlag, NodeRecords, RecordKind } from "./node-records.js";
export { type Intent as RequestIntent, RequestRecords } from "./request-records.js";
export type { RerouteRecords } from "./reroute-records.js";
