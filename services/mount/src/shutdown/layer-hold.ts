/** Holds the layers' descriptors, private mounts and claims until the mount has ended. */
import type { KeeperLink } from "@sluice/keeper-link";

export class LayerHold {
  /** Resolves when nothing holds the layers any more. */
  readonly freed: Promise<void>;
  #resolve: () => void = () => undefined;
  #link: KeeperLink | undefined;
  #last: (() => void) | undefined;
  /** A link was opened. */
  begun = false;

  constructor() {
    this.freed = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  hold(link: KeeperLink): void {
    this.#link = link;
    this.begun = true;
  }

  /** `last` writes beside the layers: whoever waits for them may remove their directory at once. */
  beforeLettingGo(last: () => void): void {
    this.#last = last;
  }

  /** Call it when the connection has ended and the overlay has closed its descriptors. */
  letGo(): void {
    this.#last?.();
    this.#last = undefined;
    this.#link?.letGo();
    this.#link = undefined;
    this.#resolve();
  }
}
