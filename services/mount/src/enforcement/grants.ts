/** The grants in force: one record per open file, from the reply to its open until its release. */
import type { Revoked } from "@sluice/mount-control";
import { type Flow, IdPages, type OpenRecord } from "@sluice/overlay";
import type { Decision } from "@sluice/decision-api";
import type { PersistedGrant } from "./persisted-grant.js";

export interface GrantRecord {
  handle: number;
  nodeId: number;
  /** As bytes, one character each. */
  path: string;
  layer: string;
  mode: Flow;
  io: OpenRecord["io"];
  write: boolean;
  /** The reason why a granted open is mediated. */
  fallback: string | undefined;
  pid: number;
  uid: number;
  gid: number;
  /** The policy in force would not give this grant any more: see revocation.ts. */
  revoked: Revoked | undefined;
  /** Undefined without a policy. */
  decisionId: string | undefined;
  revision: string | undefined;
  rule: string | undefined;
  /** A person allowed it. */
  byPerson: boolean | undefined;
  /** Milliseconds since 1970. */
  sinceMs: number;
}

export type GrantChange = "opened" | "closed" | "revoked" | "restored";
export type GrantsListener = (change: GrantChange, grant: GrantRecord) => void;

export class Grants {
  readonly #byHandle = new IdPages<GrantRecord>();
  readonly #listeners = new Set<GrantsListener>();

  get size(): number {
    return this.#byHandle.size;
  }

  opened(caller: { pid: number; uid: number; gid: number }, decision: Decision | undefined, record: OpenRecord): void {
    const grant: GrantRecord = {
      handle: record.handle,
      nodeId: record.nodeId,
      path: record.path,
      layer: record.layer,
      mode: record.mode,
      io: record.io,
      write: record.write,
      fallback: record.fallback,
      pid: caller.pid,
      uid: caller.uid,
      gid: caller.gid,
      revoked: undefined,
      decisionId: decision?.decisionId,
      revision: decision?.revision.digest,
      rule: decision?.rule,
      byPerson: decision?.byPerson,
      sinceMs: Date.now(),
    };
    this.#byHandle.set(record.handle, grant);
    this.#tell("opened", grant);
  }

  get(handle: number): GrantRecord | undefined {
    return this.#byHandle.get(handle);
  }

  /** Adds a grant that an earlier server gave. */
  restored(record: OpenRecord, persisted: PersistedGrant): void {
    const { caller, obliged: _, ...rest } = persisted;
    const { handle, nodeId, path, layer, mode, io, write } = record;
    const grant: GrantRecord = { handle, nodeId, path, layer, mode, io, write, ...caller, revoked: undefined, ...rest };
    this.#byHandle.set(handle, grant);
    this.#tell("opened", grant);
  }

  closed(handle: number): void {
    const grant = this.#byHandle.get(handle);
    if (grant === undefined) return;
    this.#byHandle.delete(handle);
    this.#tell("closed", grant);
  }

  /** The policy in force has revoked or restored it. */
  changed(change: "revoked" | "restored", grant: GrantRecord): void {
    this.#tell(change, grant);
  }

  /** Oldest first, except for grants of an earlier server. */
  all(): IterableIterator<GrantRecord> {
    return this.#byHandle.values();
  }

  /** The newest grant of an inode. It walks over all grants: only people ask for it. */
  newestOf(nodeId: number): GrantRecord | undefined {
    let newest: GrantRecord | undefined;
    for (const grant of this.#byHandle.values()) {
      if (grant.nodeId === nodeId && grant.handle > (newest?.handle ?? 0)) newest = grant;
    }
    return newest;
  }

  /** @returns a function that stops listening */
  listen(listener: GrantsListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(change: GrantChange, grant: GrantRecord): void {
    for (const listener of this.#listeners) listener(change, grant);
  }
}
