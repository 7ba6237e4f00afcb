/**
 * One set of layers that grows: the upper layer of one mount is the topmost lower layer of the next one, as deep as
 * unionmount-testsuite's --ov=10. Kernel overlayfs must show the same tree as the mount did.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { mountKernelOverlay, mountSluice, type SluiceMount, scratch, unmountKernelOverlay } from "@sluice/testkit";

const MOST_LOWERS = 10;

export class StackedMounts {
  readonly #root = scratch();
  #lowers: string[] = [];
  #count = 0;

  /** The bottom layer, to be filled before the first mount. */
  readonly bottom = this.#layer("bottom");

  constructor(readonly policy: string) {
    this.#lowers = [this.bottom];
  }

  get full(): boolean {
    return this.#lowers.length >= MOST_LOWERS;
  }

  #layer(name: string): string {
    const path = join(this.#root, name);
    mkdirSync(path);
    return path;
  }

  /**
   * Calls `onSluice` on a mount with a new upper layer, then `onKernel` over the same layers; then the upper layer joins the
   * lower ones.
   */
  async round(
    onSluice: (mount: SluiceMount) => Promise<void>,
    onKernel: (mountpoint: string) => Promise<void>,
    env?: Readonly<Record<string, string>>,
  ): Promise<void> {
    const upper = this.#layer(`upper${++this.#count}`);
    const mount = await mountSluice({ lowers: this.#lowers, upper, sharedPolicy: this.policy, ...(env === undefined ? {} : { env }) });
    await onSluice(mount);
    await mount.stop();
    const work = this.#layer(`kernel-work${this.#count}`);
    const mountpoint = mountKernelOverlay({ lowers: this.#lowers, upper, work, options: "redirect_dir=on,index=off,metacopy=off" });
    try {
      await onKernel(mountpoint);
    } finally {
      unmountKernelOverlay(mountpoint);
    }
    this.#lowers = [upper, ...this.#lowers];
  }
}
