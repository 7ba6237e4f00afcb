/** Equal layers for the two sides of a run, on the file systems that the script asks for. */
import { mkdirSync } from "node:fs";
import { scratch } from "@sluice/testkit";
import type { Sequence, Setting } from "../script/script.js";
import { plantSequence } from "./plant-sequence.js";

export interface Layers {
  /** The top layer comes first. */
  lowers: readonly string[];
  upper: string;
  work: string;
}

/** statfs compares blocks and inodes, so both have the same size. */
const SMALL_MB = 16;
const SPLIT_MB = 64;

function directory(path: string): string {
  mkdirSync(path);
  return path;
}

function storageOf({ ground }: Setting): { upper: string; lower(): string } {
  if (ground === "disk") {
    const base = scratch();
    return { upper: base, lower: () => base };
  }
  const upper = scratch({ on: "ext4-loop", sizeMb: ground === "small" ? SMALL_MB : SPLIT_MB });
  if (ground === "small") {
    const base = scratch();
    return { upper, lower: () => base };
  }
  return { upper, lower: () => scratch({ on: "tmpfs", sizeMb: SPLIT_MB }) };
}

export function plantLayers(setting: Setting, sequences: readonly (Sequence & { name: string })[]): Layers {
  const { upper, lower } = storageOf(setting);
  const roots: Record<string, string> = { upper: directory(`${upper}/upper`) };
  for (let index = 0; index < setting.lowers; index++) roots[`lower${index}`] = directory(`${lower()}/lower${index}`);
  for (const sequence of sequences) plantSequence(roots, sequence.name, sequence);
  const lowers = Object.entries(roots).flatMap(([name, root]) => (name === "upper" ? [] : [root]));
  return { lowers, upper: roots["upper"] as string, work: directory(`${upper}/work`) };
}
