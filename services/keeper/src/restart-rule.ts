/**
 * Decides whether the keeper replaces a dead server: a pure rule. A server that is killed from outside while it serves is replaced at once,
 * without a limit. A server that cannot start, or that breaks as soon as it serves, is a crash loop after a few times.
 */
export interface Death {
  /** It served requests. */
  served: boolean;
  /** For how long it served; 0 if it never did. */
  servedMs: number;
  /** By SIGKILL: from a person, or for lack of memory. */
  killed: boolean;
}

export type Restart = { again: true; pauseMs: number } | { again: false };

const LIMIT = 5;
/** A server that served this long made progress. */
const PROGRESS_MS = 1000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

export class RestartRule {
  /** Deaths in a row without one that served; and of those that broke at once. */
  #unserved = 0;
  #broken = 0;

  next({ served, servedMs, killed }: Death): Restart {
    if (!served) this.#unserved++;
    else this.#unserved = 0;
    if (served && servedMs >= PROGRESS_MS) this.#broken = 0;
    else if (served && !killed) this.#broken++;
    const bad = Math.max(this.#unserved, this.#broken);
    if (bad >= LIMIT) return { again: false };
    return { again: true, pauseMs: bad === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (bad - 1), LONGEST_PAUSE_MS) };
  }
}
