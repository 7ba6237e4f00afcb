/** The resources of a mount service before and after a run: memory, descriptors and nodes. */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type SluiceMount, statusOf } from "@sluice/testkit";
import { expect } from "vitest";

export interface Footprint {
  rssKib: number;
  /** Descriptors of files without a name, which a leak would leave open. */
  nameless: readonly string[];
  descriptors: number;
  /** Files that the mount still knows after the kernel was made to forget them. */
  nodes: number;
}

/** V8 holds memory that it once took, and the kernel holds inodes: growth below this is no evidence of a leak. */
const NOISE_KIB = 160 * 1024;
/** Descriptors of directories are held on purpose, up to a bound. */
const HELD_DESCRIPTORS = 1100;
/** The root, and directories that another process may look at just then. */
const MOST_NODES = 8;

/**
 * The mount service hears of FORGET afterwards, and through a queue: within this time it frees everything that is not leaked.
 */
const FORGET_LOOKS = 50;
const BETWEEN_LOOKS_MS = 100;

/** Taken after the kernel freed all it can, and told the mount service. */
export async function footprintOf(mount: SluiceMount): Promise<Footprint> {
  let seen = await look(mount);
  for (let looks = 1; looks < FORGET_LOOKS && (seen.nameless.length > 0 || seen.nodes > MOST_NODES); looks++) {
    await sleep(BETWEEN_LOOKS_MS);
    seen = await look(mount);
  }
  return seen;
}

async function look(mount: SluiceMount): Promise<Footprint> {
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  const descriptors = mount.descriptors();
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${mount.serverPid}/status`, "utf8"))?.[1];
  const nameless = descriptors.filter((target) => target.endsWith(" (deleted)"));
  const { nodes } = (await statusOf(mount)).overlay;
  return { rssKib: Number(rss), nameless, descriptors: descriptors.length, nodes };
}

/** No process has a file open any more. */
export function expectForgotten(end: Footprint): void {
  expect(end.nameless).toEqual([]);
  expect(end.nodes).toBeLessThanOrEqual(MOST_NODES);
}

/** `warm` was taken after everything had been used once. */
export function expectNoLeak(warm: Footprint, end: Footprint): void {
  expectForgotten(end);
  expect(end.descriptors).toBeLessThan(Math.max(warm.descriptors, HELD_DESCRIPTORS) + 16);
  expect(end.rssKib).toBeLessThan(warm.rssKib + NOISE_KIB);
}
