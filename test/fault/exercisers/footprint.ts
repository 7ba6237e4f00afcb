/** A mount service's use of the machine: memory, descriptors, and known files; before and after. */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type SluiceMount, statusOf } from "@sluice/testkit";
import { expect } from "vitest";

export interface Footprint {
  rssKib: number;
  /** Of files without a name: descriptors that somebody forgot to close. */
  nameless: readonly string[];
  descriptors: number;
  /** Files that are known, though the kernel was made to forget them. */
  nodes: number;
}

/** V8 keeps what it once took, and the kernel keeps inodes: growth below this says nothing. */
const NOISE_KIB = 160 * 1024;
/** Descriptors of directories are kept on purpose, up to a bound. */
const KEPT_DESCRIPTORS = 1100;
/** The root, and nodes that somebody else may be looking at just then. */
const MOST_NODES = 8;

/** FORGET reaches the mount service after the fact, and by a queue: every forgotten node is gone within this. */
const FORGET_LOOKS = 50;
const BETWEEN_LOOKS_MS = 100;

/** After the kernel let go of what it can, and the mount service was told. */
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

/** Nobody has anything open any more. */
export function expectForgotten(end: Footprint): void {
  expect(end.nameless).toEqual([]);
  expect(end.nodes).toBeLessThanOrEqual(MOST_NODES);
}

/** `warm` is taken when everything had been used once. */
export function expectNoLeak(warm: Footprint, end: Footprint): void {
  expectForgotten(end);
  expect(end.descriptors).toBeLessThan(Math.max(warm.descriptors, KEPT_DESCRIPTORS) + 16);
  expect(end.rssKib).toBeLessThan(warm.rssKib + NOISE_KIB);
}
