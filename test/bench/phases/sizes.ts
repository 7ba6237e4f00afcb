/** How much each phase works on. A profile changes sizes, never what is measured. */
import type { StorageKind } from "../machine/storage.js";

export interface Sizes {
  rounds: number;
  warmUps: number;
  /** Files of the tree that is looked at, 100 a directory. */
  treeFiles: number;
  /** Passes over it where the kernel answers from its caches. */
  warmLoops: number;
  /** Files made, changed and removed a round. */
  changeFiles: number;
  /** Files copied up and rows inserted, at most, where each waits for a disk. */
  mostSynced: number;
  largeMb: number;
  dataMb: number;
  fioMs: number;
  searchFiles: number;
  sourceFiles: number;
  buildFiles: number;
  insertedRows: number;
  modules: number;
  npmPackages: number;
  /** Times each point of a scaling curve is taken. */
  repetitions: number;
  /** Mounts whose start is timed. */
  mounts: number;
  /** Scaling stops here. */
  mostLayers: number;
  mostNames: number;
  /** Files that a killed server knows. */
  mostKnown: number;
  mostClients: number;
  /** Files that the clients look at together. */
  clientFiles: number;
  openFiles: number;
  /** How long the machine is left alone to see what a mount takes at rest. */
  restMs: number;
  /** How long files are made and removed to see whether a daemon grows. */
  churnMs: number;
  /** Files that are known while pauses are watched. */
  watchedFiles: number;
}

export type ProfileName = "tiny" | "quick" | "standard" | "figures" | "full";

const STANDARD: Sizes = {
  rounds: 5,
  warmUps: 1,
  treeFiles: 2000,
  warmLoops: 20,
  changeFiles: 500,
  mostSynced: 50,
  largeMb: 256,
  dataMb: 128,
  fioMs: 400,
  searchFiles: 10_000,
  sourceFiles: 1000,
  buildFiles: 24,
  insertedRows: 200,
  modules: 200,
  npmPackages: 30,
  repetitions: 3,
  mounts: 3,
  mostLayers: 128,
  mostNames: 1_000_000,
  mostKnown: 1_000_000,
  mostClients: 64,
  clientFiles: 6400,
  openFiles: 10_000,
  restMs: 5000,
  churnMs: 20_000,
  watchedFiles: 100_000,
};

export const PROFILES: Readonly<Record<ProfileName, Sizes>> = {
  standard: STANDARD,
  figures: {
    ...STANDARD,
    rounds: 3,
    changeFiles: 300,
    largeMb: 1024,
    searchFiles: 100_000,
    sourceFiles: 500,
    insertedRows: 100,
    npmPackages: 15,
    mostKnown: 100_000,
    repetitions: 1,
  },
  full: { ...STANDARD, largeMb: 1024, searchFiles: 100_000, sourceFiles: 5000, treeFiles: 5000, churnMs: 3_600_000 },
  quick: {
    ...STANDARD,
    rounds: 2,
    warmUps: 0,
    treeFiles: 1000,
    changeFiles: 200,
    largeMb: 64,
    dataMb: 64,
    fioMs: 250,
    searchFiles: 2000,
    sourceFiles: 300,
    buildFiles: 10,
    insertedRows: 100,
    modules: 100,
    npmPackages: 10,
    mostLayers: 32,
    mostNames: 10_000,
    mostKnown: 10_000,
    mostClients: 16,
    openFiles: 1000,
    churnMs: 5000,
    watchedFiles: 10_000,
  },
  tiny: {
    ...STANDARD,
    rounds: 1,
    warmUps: 0,
    treeFiles: 60,
    warmLoops: 2,
    changeFiles: 10,
    largeMb: 1,
    dataMb: 1,
    fioMs: 50,
    searchFiles: 50,
    sourceFiles: 10,
    buildFiles: 2,
    insertedRows: 5,
    modules: 5,
    npmPackages: 2,
    repetitions: 1,
    mounts: 1,
    mostLayers: 3,
    mostNames: 100,
    mostKnown: 100,
    mostClients: 2,
    clientFiles: 640,
    openFiles: 50,
    restMs: 100,
    churnMs: 200,
    watchedFiles: 100,
  },
};

export const FILES_A_DIRECTORY = 100;
/** Each is copied up once, so as many rounds can have one. */
export const LARGE_FILES = 2;

/** As many as `wanted`, or fewer where each waits for a disk. */
export function syncedOn(layersOn: StorageKind, wanted: number, { mostSynced }: Sizes): number {
  return layersOn === "tmpfs" ? wanted : Math.min(wanted, mostSynced);
}
