/**
 * The right to change a layer. Every system call that changes one takes a permit (system-calls.ts `effects`), and an operation
 * gets its permit from gate/govern.ts alone, in the turn of the event loop in which what was judged was compared with what is
 * there. So an operation that skips the judgement does not compile.
 */
declare const permitted: unique symbol;

export interface Permit {
  readonly [permitted]: true;
}

const THE_PERMIT = Object.freeze({}) as Permit;

/** For gate/govern.ts alone, once it has judged (`npm run check` looks for others). */
export function issuePermit(): Permit {
  return THE_PERMIT;
}
