/** How much each phase works on. A profile changes sizes, never what is measured. */
export interface Sizes {
  rounds: number;
  warmUps: number;
  /** Files of the tree that is looked at, 100 a directory. */
  treeFiles: number;
  /** Passes over it where the kernel answers from its caches. */
  warmLoops: number;
  /** Files made, changed and removed a round. */
  changeFiles: number;
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
  /** Scaling stops here. */
  mostLayers: number;
  mostNames: number;
  mostClients: number;
  openFiles: number;
}

export type ProfileName = "tiny" | "quick" | "standard" | "full";

const STANDARD: Sizes = {
  rounds: 5,
  warmUps: 1,
  treeFiles: 2000,
  warmLoops: 20,
  changeFiles: 500,
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
  mostLayers: 128,
  mostNames: 1_000_000,
  mostClients: 64,
  openFiles: 10_000,
};

export const PROFILES: Readonly<Record<ProfileName, Sizes>> = {
  standard: STANDARD,
  full: { ...STANDARD, largeMb: 1024, searchFiles: 100_000, sourceFiles: 5000, treeFiles: 5000 },
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
    mostClients: 16,
    openFiles: 1000,
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
    mostLayers: 3,
    mostNames: 100,
    mostClients: 2,
    openFiles: 50,
  },
};

export const FILES_A_DIRECTORY = 100;
