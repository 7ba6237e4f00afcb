/** The built-in backend: one policy file, looked at again before each batch of questions. */
import { type BigIntStats, readFileSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { Policy, PolicyBackend, Refresh } from "../backend.js";
import { type LoadedPolicy, loadPolicy } from "./load-policy.js";
import { PolicyError } from "./problem.js";

/** A file that was written this shortly before it was read could be written again with the same times. */
const SETTLED_MS = 200;

function sameFile(a: BigIntStats | undefined, b: BigIntStats): boolean {
  return a !== undefined && a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

function unreadable(file: string, cause: unknown): PolicyError {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
  const problem = {
    severity: "error" as const,
    line: 1,
    column: 1,
    message: `policy cannot be read (${code})`,
    remedy: "check that it is there and readable",
  };
  return new PolicyError(file, [problem], { cause });
}

/** Throws `PolicyError`, with what is wrong in the file or with reading it. */
export function readPolicyFile(file: string): LoadedPolicy {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
  return loadPolicy(bytes, file, basename(file));
}

/** Mounts do not use answers of a revision below one that they were told of, so that taking one back must get a new number. */
function refuseOlder(file: string, next: LoadedPolicy, inForce: LoadedPolicy): void {
  const { sequence } = next.policy.revision;
  const newest = inForce.policy.revision.sequence;
  if (sequence === 0n || sequence >= newest) return;
  const message = `revision ${sequence} is lower than ${newest}, which is in force`;
  throw new PolicyError(file, [{ severity: "error", line: 1, column: 1, message, remedy: "give each edit a higher one" }]);
}

class RulesBackend implements PolicyBackend {
  readonly name = "rules";
  readonly watchedDirectories: readonly string[];
  failure: Error | undefined;
  private seen: BigIntStats | undefined;
  private settled = false;
  private inForce: LoadedPolicy;

  constructor(private readonly file: string) {
    this.watchedDirectories = [dirname(resolve(file))];
    this.look();
    this.inForce = readPolicyFile(file);
  }

  get policy(): Policy {
    return this.inForce.policy;
  }

  /** Whether the file may have changed since it was read. One stat, microseconds. */
  private look(): boolean {
    const stats = statSync(this.file, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) {
      this.seen = undefined;
      return true; // reading it says why
    }
    if (this.settled && sameFile(this.seen, stats)) return false;
    this.seen = stats;
    this.settled = Date.now() - Number(stats.ctimeMs) > SETTLED_MS;
    return true;
  }

  refresh(): Refresh {
    try {
      if (!this.look()) return { state: "unchanged" };
      const next = readPolicyFile(this.file);
      if (next.policy.revision.digest === this.inForce.policy.revision.digest) {
        this.failure = undefined;
        return { state: "unchanged" };
      }
      refuseOlder(this.file, next, this.inForce);
      this.failure = undefined;
      this.inForce = next;
      return { state: "changed" };
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      const known = this.failure?.message === failure.message;
      this.failure = failure;
      return known ? { state: "unchanged" } : { state: "failed", error: failure };
    }
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}

/** Throws `PolicyError`: nothing starts on a policy that does not check. */
export function rulesBackend(file: string): PolicyBackend {
  return new RulesBackend(file);
}
