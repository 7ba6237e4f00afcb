/** What a mount service holds of the machine: memory and descriptors, before and after. */
import { readFileSync, writeFileSync } from "node:fs";
import type { SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

export interface Footprint {
  rssKib: number;
  /** Of files without a name: what somebody forgot to close. */
  nameless: readonly string[];
  descriptors: number;
}

/** V8 keeps what it once took, and the kernel keeps inodes: growth below this says nothing. */
const NOISE_KIB = 160 * 1024;
/** Descriptors of directories are kept on purpose, up to a bound. */
const KEPT_DESCRIPTORS = 1100;

/** FORGET is told to the mount service after the fact, and by a queue: what nobody forgot to close is gone within this. */
const FORGET_LOOKS = 50;
const BETWEEN_LOOKS_MS = 100;

/** After the kernel let go of what it can, and the mount service was told. */
export function footprintOf(mount: SluiceMount): Footprint {
  let seen = look(mount);
  for (let looks = 1; looks < FORGET_LOOKS && seen.nameless.length > 0; looks++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BETWEEN_LOOKS_MS);
    seen = look(mount);
  }
  return seen;
}

function look(mount: SluiceMount): Footprint {
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  const descriptors = mount.descriptors();
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${mount.serverPid}/status`, "utf8"))?.[1];
  return { rssKib: Number(rss), nameless: descriptors.filter((target) => target.endsWith(" (deleted)")), descriptors: descriptors.length };
}

/** `warm` is taken when everything had been used once. */
export function expectNoLeak(warm: Footprint, end: Footprint): void {
  expect(end.nameless).toEqual([]);
  expect(end.descriptors).toBeLessThan(Math.max(warm.descriptors, KEPT_DESCRIPTORS) + 16);
  expect(end.rssKib).toBeLessThan(warm.rssKib + NOISE_KIB);
}
