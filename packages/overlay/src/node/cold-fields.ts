/**
 * What few nodes have, directories and those that something happened to, kept apart from what all have: trees have millions of
 * nodes, and a field costs each of them eight bytes.
 * Nodes without any of it share one object, which nobody writes to.
 */
import type { ByteName } from "@sluice/vfs";
import type { CopyUpJob } from "../copy-up/copy-up-job.js";
import type { DataPlace } from "../layer/data-place.js";
import type { RealDir } from "../layer/host-layer.js";
import type { IndexEntry } from "./link-index.js";
import type { Dentry, Node } from "./node.js";
import type { FormerId } from "./node-table.js";
import type { ForgottenName } from "./forgotten-nodes.js";

class Rarities {
  /** Counts changes of names and place, so that a decision's wait can be checked for what happened meanwhile. */
  version = 0;
  /** Granted for writing once, or mediated for it beside a grant: the kernel may hold mappings that change it without telling; attributes are not cached. */
  writtenPastUs = false;
  /** Children that are known, by name. A directory with known children is not let go. */
  children: Map<ByteName, Node> | undefined = undefined;
  /** A directory: the directories it is merged from, top first. */
  dirs: RealDir[] | undefined = undefined;
  /** Further names: hard links. */
  others: Dentry[] | undefined = undefined;
  /** Names it had when the kernel forgot it, not looked at since: see forgotten-nodes.ts. */
  unseenNames: readonly ForgottenName[] | undefined = undefined;
  /** A metadata-only copy: where its data lies. */
  data: DataPlace | undefined = undefined;
  /** O_PATH descriptor of an object without a name, or -1. */
  fd = -1;
  /** The path it was last known by, once it has no name. */
  lastPath: string | undefined = undefined;
  /** A directory that hides everything below it: made over a whiteout, or marked so. */
  opaque = false;
  /** Further ids that the kernel uses: see NodeTable.renumber and addId. */
  formers: readonly FormerId[] | undefined = undefined;
  /** The one of them that the next open whose bytes must pass us goes to: see open/plan-open.ts. */
  apart: FormerId | undefined = undefined;
  /** Who needs it across a wait, though the kernel may not know it: see NodeTable.hold. */
  holds = 0;
  /** The copy-up under way: everybody waits for the same one. */
  copyUp: CopyUpJob | undefined = undefined;
  /** Names in it of nodes that an earlier process knew and this one has not looked at yet: see restore/revival.ts. */
  dormantChildren = 0;
  /** Key in the table of hard links of the upper layer, where it is in it. */
  linkKey: number | undefined = undefined;
  /** Key in the table of hard links of lower layers: its object there has several names. */
  lowerLinkKey: string | undefined = undefined;
  /** Its object lies in the index of hard links, whatever its names are. */
  indexed: IndexEntry | undefined = undefined;
}

const NONE = new Rarities();

/** The fields of `Rarities`, as if they were a node's own. */
export class WithRarities {
  #rare = NONE;

  #own(): Rarities {
    if (this.#rare === NONE) this.#rare = new Rarities();
    return this.#rare;
  }

  get others(): Dentry[] | undefined {
    return this.#rare.others;
  }
  set others(value: Dentry[] | undefined) {
    if (value !== this.#rare.others) this.#own().others = value;
  }

  get unseenNames(): readonly ForgottenName[] | undefined {
    return this.#rare.unseenNames;
  }
  set unseenNames(value: readonly ForgottenName[] | undefined) {
    if (value !== this.#rare.unseenNames) this.#own().unseenNames = value;
  }

  get data(): DataPlace | undefined {
    return this.#rare.data;
  }
  set data(value: DataPlace | undefined) {
    if (value !== this.#rare.data) this.#own().data = value;
  }

  get fd(): number {
    return this.#rare.fd;
  }
  set fd(value: number) {
    if (value !== this.#rare.fd) this.#own().fd = value;
  }

  get lastPath(): string | undefined {
    return this.#rare.lastPath;
  }
  set lastPath(value: string | undefined) {
    if (value !== this.#rare.lastPath) this.#own().lastPath = value;
  }

  get opaque(): boolean {
    return this.#rare.opaque;
  }
  set opaque(value: boolean) {
    if (value !== this.#rare.opaque) this.#own().opaque = value;
  }

  get formers(): readonly FormerId[] | undefined {
    return this.#rare.formers;
  }
  set formers(value: readonly FormerId[] | undefined) {
    if (value !== this.#rare.formers) this.#own().formers = value;
  }

  get apart(): FormerId | undefined {
    return this.#rare.apart;
  }
  set apart(value: FormerId | undefined) {
    if (value !== this.#rare.apart) this.#own().apart = value;
  }

  get holds(): number {
    return this.#rare.holds;
  }
  set holds(value: number) {
    if (value !== this.#rare.holds) this.#own().holds = value;
  }

  get copyUp(): CopyUpJob | undefined {
    return this.#rare.copyUp;
  }
  set copyUp(value: CopyUpJob | undefined) {
    if (value !== this.#rare.copyUp) this.#own().copyUp = value;
  }

  get dormantChildren(): number {
    return this.#rare.dormantChildren;
  }
  set dormantChildren(value: number) {
    if (value !== this.#rare.dormantChildren) this.#own().dormantChildren = value;
  }

  get linkKey(): number | undefined {
    return this.#rare.linkKey;
  }
  set linkKey(value: number | undefined) {
    if (value !== this.#rare.linkKey) this.#own().linkKey = value;
  }

  get lowerLinkKey(): string | undefined {
    return this.#rare.lowerLinkKey;
  }
  set lowerLinkKey(value: string | undefined) {
    if (value !== this.#rare.lowerLinkKey) this.#own().lowerLinkKey = value;
  }

  get indexed(): IndexEntry | undefined {
    return this.#rare.indexed;
  }
  set indexed(value: IndexEntry | undefined) {
    if (value !== this.#rare.indexed) this.#own().indexed = value;
  }

  get dirs(): RealDir[] | undefined {
    return this.#rare.dirs;
  }
  set dirs(value: RealDir[] | undefined) {
    if (value !== this.#rare.dirs) this.#own().dirs = value;
  }

  get children(): Map<ByteName, Node> | undefined {
    return this.#rare.children;
  }
  set children(value: Map<ByteName, Node> | undefined) {
    if (value !== this.#rare.children) this.#own().children = value;
  }

  get writtenPastUs(): boolean {
    return this.#rare.writtenPastUs;
  }
  set writtenPastUs(value: boolean) {
    if (value !== this.#rare.writtenPastUs) this.#own().writtenPastUs = value;
  }

  get version(): number {
    return this.#rare.version;
  }
  set version(value: number) {
    if (value !== this.#rare.version) this.#own().version = value;
  }
}
