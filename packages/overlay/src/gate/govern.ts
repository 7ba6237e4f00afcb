/**
 * The one way to a permit: an operation is judged, and the judged state is compared with the present state before the first effect.
 *
 * While an answer is under way, or a file is copied up, any caller may rename an ancestor, replace the object, change its owner,
 * or edit the policy. The kernel locks a name's own directory at best, never the directories above it. So after each wait the
 * operation describes itself again. If that differs from the description that was judged, or another policy is in force, it is
 * judged again; a bounded number of times, so that two callers cannot keep each other busy for ever.
 *
 * `holds` and `commit` run in one turn of the event loop, and nothing else changes the tree in between.
 */
import { type CallContext, Errno, type Status } from "@sluice/vfs";
import type { OpenFile } from "../handles/handle-table.js";
import type { GateContext } from "./gate-context.js";
import { issuePermit, type Permit } from "../layer/permit.js";

/** An operation that policy governs. The object holds what was judged. */
export interface Governed<Context> {
  readonly call: CallContext;
  /** Judges the operation as things are now: 0 if it is allowed. Rejects only if the caller is interrupted. */
  judge(core: Context): Status;
  /** Is what was judged still what would happen? Describes it again, and compares. */
  holds(core: Context): boolean;
  /** The copy-up, which may take long. It changes nothing that a caller sees. */
  prepare(core: Context, permit: Permit): Status;
  /** The effect, at once: the errno, or 0. */
  commit(core: Context, permit: Permit): number;
  /** It is over, or begins again: gives back what `judge` and `prepare` took. */
  end?(core: Context): void;
}

/** For operations by an open file. Its open was judged, and after a revocation its watch refuses them (open/review-open.ts). */
export function permitOf(_file: OpenFile): Permit {
  return issuePermit();
}

/** More changes than this during one operation are no accident. */
const MAX_ATTEMPTS = 16;

/** A status. At once if nothing has to be waited for: then nothing is compared either. */
export function govern<Context extends GateContext>(core: Context, operation: Governed<Context>, attempt = 1): Status {
  const { epoch } = core.gate;
  const judged = operation.judge(core);
  if (typeof judged === "number") return judged !== 0 ? ended(core, operation, judged) : prepare(core, operation, { epoch, attempt });
  return judged.then(
    (errno) => {
      if (errno !== 0) return ended(core, operation, errno);
      return stands(core, operation, epoch) ? prepare(core, operation, { epoch, attempt }) : again(core, operation, attempt);
    },
    // The gate rejects for one reason only: the caller was interrupted.
    () => ended(core, operation, Errno.EINTR),
  );
}

interface Attempt {
  epoch: number;
  attempt: number;
}

function prepare<Context extends GateContext>(core: Context, operation: Governed<Context>, { epoch, attempt }: Attempt): Status {
  const permit = issuePermit();
  const prepared = operation.prepare(core, permit);
  if (typeof prepared === "number") return prepared !== 0 ? ended(core, operation, prepared) : commit(core, operation, permit);
  return prepared.then((errno) => {
    if (errno !== 0) return ended(core, operation, errno);
    return stands(core, operation, epoch) ? commit(core, operation, permit) : again(core, operation, attempt);
  });
}

function stands<Context extends GateContext>(core: Context, operation: Governed<Context>, epoch: number): boolean {
  return core.gate.epoch === epoch && operation.holds(core);
}

function commit<Context extends GateContext>(core: Context, operation: Governed<Context>, permit: Permit): number {
  try {
    return operation.commit(core, permit);
  } finally {
    operation.end?.(core);
  }
}

function again<Context extends GateContext>(core: Context, operation: Governed<Context>, attempt: number): Status {
  operation.end?.(core);
  return attempt < MAX_ATTEMPTS ? govern(core, operation, attempt + 1) : Errno.EACCES;
}

function ended<Context extends GateContext>(core: Context, operation: Governed<Context>, errno: number): number {
  operation.end?.(core);
  return errno;
}
