/** The layers' descriptors, private mounts and claims, from when they are opened until nothing holds their file systems any more. */
import type { KeeperLink } from "@sluice/keeper-link";

export class LayerHold {
  /** Resolves when all of it is gone. */
  readonly freed: Promise<void>;
  #resolve: () => void = () => undefined;
  #link: KeeperLink | undefined;

  constructor() {
    this.freed = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  hold(link: KeeperLink): void {
    this.#link = link;
  }

  /** To be called when the connection has ended and the overlay has closed what it had open. */
  letGo(): void {
    this.#link?.letGo();
    this.#link = undefined;
    this.#resolve();
  }
}
