/**
 * Counts requests to stop, such as signals. The first asks to unmount once nobody uses the mount, the second to unmount at once.
 * `sluice unmount --force` counts as two.
 */

export class StopRequests {
  #count = 0;
  #abandoned = false;
  readonly #waiting: { atLeast: number; resolve: () => void }[] = [];

  request(): void {
    this.#count++;
    for (const { atLeast, resolve } of this.#waiting) if (this.#count >= atLeast) resolve();
  }

  /** The same as a second request. */
  hurry(): void {
    while (!this.hurried) this.request();
  }

  /** Nobody can use the mount any more: its last users have ended, or end at this moment. */
  abandon(): void {
    this.#abandoned = true;
    this.hurry();
  }

  get abandoned(): boolean {
    return this.#abandoned;
  }

  get hurried(): boolean {
    return this.#count > 1;
  }

  get requested(): boolean {
    return this.#count > 0;
  }

  /** Resolves after that many requests. */
  reached(atLeast: number): Promise<void> {
    if (this.#count >= atLeast) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ atLeast, resolve }));
  }
}
