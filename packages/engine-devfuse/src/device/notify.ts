/** Notifications to the kernel. The notifier's own thread sends them: see `Native.notifier`. */
import { setTimeout as sleep } from "node:timers/promises";
import { ByteBuffer, encodeDelete, encodeInvalidateEntry, encodeInvalidateInode, NOTIFICATION_BYTES } from "@sluice/fuse-protocol";
import { type Notifier, native } from "@sluice/native";
import { NAME_MAX } from "@sluice/vfs";
import type { Agreement } from "../connection/agreement.js";

/** The time that a notification may wait for the kernel before its waiter gives up. */
const LONGEST_WAIT_MS = 10_000;
const LOOK_MS = 1;

export class Notifications {
  readonly #fuseFd: number;
  readonly #agreement: Agreement;
  readonly #buffer = new ByteBuffer(NOTIFICATION_BYTES);
  #notifier: Notifier | undefined;
  #closed = false;
  #posted = 0;

  constructor(fuseFd: number, agreement: Agreement) {
    this.#fuseFd = fuseFd;
    this.#agreement = agreement;
  }

  invalidateInode(node: number, offset: number, length: number): void {
    const attributesOnly = offset < 0 || length < 0;
    this.#post(encodeInvalidateInode(this.#buffer, node, attributesOnly ? -1 : offset, attributesOnly ? -1 : length));
  }

  /**
   * fs/fuse/inode.c fuse_reverse_inval_inode, which the write of the notification waits for: it locks each page, so it waits
   * for the READ that a page waits for, writes dirty pages back and takes them out of mappings.
   */
  async dropPages(node: number): Promise<boolean> {
    this.invalidateInode(node, 0, 0);
    const ours = this.#posted;
    const untilMs = performance.now() + LONGEST_WAIT_MS;
    while (this.#completed() < ours && performance.now() < untilMs) await sleep(LOOK_MS);
    return this.#completed() >= ours;
  }

  #completed(): number {
    const counts = this.#notifier?.counts();
    return counts === undefined ? Number.POSITIVE_INFINITY : counts.written + counts.refused;
  }

  /** On the calling thread: see `KernelPort.dropAttributes`. A node that the kernel does not know has none (ENOENT). */
  dropAttributes(node: number): void {
    if (!this.#closed) native.write(this.#fuseFd, this.#buffer.bytes, 0, encodeInvalidateInode(this.#buffer, node, -1, -1));
  }

  /** A kernel that cannot expire an entry drops it: more than requested, never less. */
  invalidateEntry(parent: number, name: string, expireOnly: boolean): void {
    if (name.length > NAME_MAX) return;
    const expire = expireOnly && this.#agreement.negotiated.flags.includes("HAS_EXPIRE_ONLY");
    this.#post(encodeInvalidateEntry(this.#buffer, parent, name, expire));
  }

  notifyDelete(parent: number, child: number, name: string): void {
    if (name.length <= NAME_MAX) this.#post(encodeDelete(this.#buffer, { parent, child }, name));
  }

  close(): void {
    this.#closed = true;
    this.#notifier?.close();
    this.#notifier = undefined;
  }

  #post(length: number): void {
    if (this.#closed) return;
    this.#notifier ??= native.notifier(this.#fuseFd);
    this.#notifier.post(this.#buffer.bytes, length);
    this.#posted++;
  }
}
