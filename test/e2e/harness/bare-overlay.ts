/** The overlay by itself, asked as the engine would ask it: for what no kernel here asks, and for what must come in between. */
import { join } from "node:path";
import { uncountedBytes, viewsOf } from "@sluice/journal";
import { openLayers } from "@sluice/keeper-link";
import { createOverlay, type Gate, type Overlay, type OverlayConfig } from "@sluice/overlay";
import { cleanUp } from "@sluice/testkit";
import { Attr, type EntryOut, Errno, type KernelPort, type OpenOut } from "@sluice/vfs";

const port: KernelPort = {
  negotiated: {
    protocol: { major: 7, minor: 45 },
    maxStackDepth: 0,
    maxWriteBytes: 4096,
    posixAcl: true,
    killprivV2: true,
    posixLocks: false,
    flockLocks: false,
    flags: [],
  },
  separatesOpens: true,
  openBacking: () => -Errno.EPERM,
  closeBacking: () => undefined,
  invalidateInode: () => undefined,
  dropAttributes: () => undefined,
  dropPages: () => Promise.resolve(true),
  invalidateEntry: () => undefined,
  notifyDelete: () => undefined,
};
const STRICTNESS = { grant: 0, mediate: 1, deny: 2 };
const nothing = (): void => undefined;
/** Grants everything, and has nothing to ask. */
export const OPEN_GATE: Gate = {
  active: false,
  hidesNames: false,
  hides: () => false,
  epoch: 0,
  governs: () => false,
  holds: () => true,
  isLaxer: (other, ruling) => STRICTNESS[other.effect] < STRICTNESS[ruling.effect],
  authorize: () => ({ effect: "grant" }) as never,
  opened: nothing,
  closed: nothing,
  describe: () => undefined,
};
const SETTINGS: Omit<OverlayConfig, "gate" | "lowers" | "dataLowers" | "upper" | "work" | "errorWitness"> = {
  events: { copyUp: nothing, fallback: nothing, mediated: nothing, openFiles: nothing, grew: nothing, anomaly: nothing },
  userXattr: false,
  redirectDir: "on",
  metacopy: false,
  xino: "auto",
  originUuid: true,
  foreignMarks: false,
  countsLinks: false,
  index: "off",
  volatile: false,
  coherentReaders: false,
  sharedLower: false,
  formerUppers: 0,
  entryTtlMs: 1000,
  attrTtlMs: 1000,
  negativeTtlMs: 1000,
  inlineCopyBytes: 4096,
  maxIdleObjects: Infinity,
  recordMemory: () => viewsOf(uncountedBytes()),
  maxDirectoryFds: 64,
  maxCachedBackings: 0,
};

interface More extends Partial<Pick<OverlayConfig, "index" | "maxIdleObjects" | "metacopy" | "recordMemory">> {
  /** Told of each name that the kernel has to drop. */
  onDropped?: (name: string) => void;
  /** Told of each id whose attributes the kernel has to ask for again. */
  onStale?: (id: number) => void;
}

/** Over `lower`, `upper` and `work` below `base`; it goes with the test. */
export function overlayOver(base: string, gate: Gate = OPEN_GATE, { onDropped = nothing, onStale = nothing, ...more }: More = {}): Overlay {
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(base, name)) as [string, string, string];
  const { release, ...layers } = openLayers({ lowers: [lower], dataLowers: [], upper, work, flags: 0, volatile: false });
  const overlay = createOverlay(
    { ...layers, ...SETTINGS, ...more, gate },
    { ...port, invalidateEntry: (_parent, name) => onDropped(name), dropAttributes: onStale },
  );
  cleanUp(async () => {
    await overlay.destroy();
    release();
  });
  return overlay;
}

export const entry = (): EntryOut => ({ nodeId: 0, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attr: new Attr() });
export const opened = (): OpenOut => ({ handle: 0, mode: "cached", keepCache: false, backingId: 0 });
