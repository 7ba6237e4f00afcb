/** What a client tells of itself: services log and count, this library does neither. Every method returns at once. */
export interface DecisionClientEvents {
  connected(address: string): void;
  disconnected(address: string, reason: string): void;
  /** Questions that a broken stream left unanswered and that were put again, elsewhere or later. */
  replayed(count: number): void;
  /** An answer nobody waits for: late, a duplicate, or for a question never asked. It is not used. */
  strayAnswer(address: string): void;
  malformedAnswer(address: string, problem: string): void;
}

export const NO_EVENTS: DecisionClientEvents = {
  connected: () => undefined,
  disconnected: () => undefined,
  replayed: () => undefined,
  strayAnswer: () => undefined,
  malformedAnswer: () => undefined,
};
