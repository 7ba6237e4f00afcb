/** Describes an open to the gate: its accesses, and the object behind its descriptor. */
import { Attr, O } from "@sluice/vfs";
import type { OpenContext } from "./open-context.js";
import type { Access, Content, Intent, IntentAttr } from "../contract/gate.js";
import type { Node } from "../node/node.js";
import { readXattrOf } from "../gate/node-xattr.js";
import { contentOf } from "../handles/content.js";

/** An open with a descriptor of its object. */
export interface DescribedOpen {
  readonly node: Node;
  readonly fd: number;
  readonly flags: number;
}

const NOTHING = new Attr();

export const writes = (flags: number): boolean => (flags & O.ACCMODE) !== O.RDONLY || (flags & O.TRUNC) !== 0;

const READ: readonly Access[] = ["read"];
const READ_AND_WRITE: readonly Access[] = ["read", "write"];
const WRITE: readonly Access[] = ["write"];
const EXECUTE: readonly Access[] = ["execute"];
const EXECUTE_AND_WRITE: readonly Access[] = ["execute", "write"];

/** The accesses that an open with these flags gives. */
export function accessesOf(flags: number): readonly Access[] {
  if ((flags & O.EXEC) !== 0) return writes(flags) ? EXECUTE_AND_WRITE : EXECUTE;
  if ((flags & O.ACCMODE) === O.WRONLY) return WRITE;
  return writes(flags) ? READ_AND_WRITE : READ;
}

/** Serves one open after the other, unless an open waits with it. It looks at a fact only when the gate asks for it. */
export class OpenIntent implements Intent {
  readonly operation = "open";
  accesses: readonly Access[] = [];
  paths: readonly string[] = [];
  layer = "";
  attr: IntentAttr = NOTHING;
  openFlags = 0;
  repeats = false;
  #core: OpenContext | undefined = undefined;
  #node: Node | undefined = undefined;
  #fd = -1;
  #content: Content | undefined = undefined;

  /** `attr`: the attributes of `fd`. */
  of(core: OpenContext, { node, fd, flags }: DescribedOpen, attr: Attr): this {
    this.accesses = accessesOf(flags);
    this.paths = core.paths.of(core, node, attr);
    this.layer = node.top.layer.name;
    this.attr = attr;
    this.openFlags = flags;
    this.repeats = false;
    this.#core = core;
    this.#node = node;
    this.#fd = fd;
    this.#content = undefined;
    return this;
  }

  readXattr(name: string): Uint8Array | undefined | number {
    return readXattrOf(this.#fd, name);
  }

  /** The open has truncated the file: it is compared by the size that was judged, and there is no content to compare. */
  beforeTruncation(sizeExact: bigint): void {
    const { mode, uid, gid } = this.attr;
    this.attr = { mode, uid, gid, sizeExact };
    this.#core = undefined;
  }

  get content(): Content | undefined {
    if (this.#core === undefined) return undefined;
    this.#content ??= contentOf(this.#core, this.#node as Node, this.#fd);
    return this.#content;
  }
}
