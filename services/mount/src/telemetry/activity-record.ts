/**
 * Counts which program opened which file, and which access was denied to it, for `sluice report`. Its room is bounded, for each kind by
 * itself: a program that reads a million files does not push a denial out. Whatever has no room is counted without its name.
 */
import type { Decision } from "@sluice/decision-api";
import { ACTIVITY_KINDS, type ActivityFile, type ActivityKind, type ProgramActivity } from "@sluice/mount-control";
import { programOf } from "./program-name.js";

/** Bytes of paths and programs. */
const ROOM: Readonly<Record<ActivityKind, number>> = { read: 128 << 10, written: 128 << 10, denied: 64 << 10, undecided: 64 << 10 };
/** An entry costs more than its name. */
const ENTRY_BYTES = 32;
/** A process may become another program by execve(2). */
const KNOWN_FOR_MS = 200;
const MAX_KNOWN = 1024;

const NONE: Readonly<Record<ActivityKind, number>> = { read: 0, written: 0, denied: 0, undecided: 0 };

type Counts = Map<string, number>;

/** Undefined: it is no denial. */
export function kindOfDenial({ effect, source }: Pick<Decision, "effect" | "source">): ActivityKind | undefined {
  if (effect !== "deny") return undefined;
  return source === "outage" ? "undecided" : "denied";
}

export class ActivityRecord {
  readonly #programOf: (pid: number) => string;
  readonly #programs = new Map<string, Record<ActivityKind, Counts>>();
  readonly #room = { ...ROOM };
  readonly #totals = { ...NONE };
  readonly #omitted = { ...NONE };
  readonly #known = new Map<number, { program: string; untilMs: number }>();
  /** Something was counted since the last look. */
  changed = true;

  constructor(of: (pid: number) => string = programOf) {
    this.#programOf = of;
  }

  add(kind: ActivityKind, pid: number, path: string): void {
    this.changed = true;
    this.#totals[kind]++;
    const program = this.#programAt(pid);
    const counts = this.#programs.get(program)?.[kind];
    const count = counts?.get(path);
    if (counts !== undefined && count !== undefined) {
      counts.set(path, count + 1);
      return;
    }
    const bytes = path.length + ENTRY_BYTES + (counts === undefined ? program.length : 0);
    if (bytes > this.#room[kind]) {
      this.#omitted[kind]++;
      return;
    }
    this.#room[kind] -= bytes;
    this.#countsOf(program)[kind].set(path, 1);
  }

  toFile(): ActivityFile {
    const listed = (program: string, counts: Record<ActivityKind, Counts>): ProgramActivity => ({
      program,
      read: [...counts.read],
      written: [...counts.written],
      denied: [...counts.denied],
      undecided: [...counts.undecided],
    });
    const programs = [...this.#programs].map(([program, counts]) => listed(program, counts));
    return { version: 1, totals: { ...this.#totals }, omitted: { ...this.#omitted }, programs };
  }

  #countsOf(program: string): Record<ActivityKind, Counts> {
    let counts = this.#programs.get(program);
    if (counts === undefined) {
      counts = Object.fromEntries(ACTIVITY_KINDS.map((kind) => [kind, new Map()])) as Record<ActivityKind, Counts>;
      this.#programs.set(program, counts);
    }
    return counts;
  }

  #programAt(pid: number): string {
    const nowMs = performance.now();
    const known = this.#known.get(pid);
    if (known !== undefined && known.untilMs > nowMs) return known.program;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const program = this.#programOf(pid);
    this.#known.set(pid, { program, untilMs: nowMs + KNOWN_FOR_MS });
    return program;
  }
}
