/** Phases of names and attributes: the most frequent calls of a build, a package manager or a shell. */
import { join } from "node:path";
import type { Bench, Phase } from "./phase.js";
import type { Session } from "../subjects/session.js";
import { type LoadOptions, runLoad } from "./load-generator.js";
import { LARGE_FILES, syncedOn } from "./sizes.js";

interface MetadataPhase {
  name: string;
  title: string;
  /** Of the load generator. */
  load: string;
  copyUp?: boolean;
  options(session: Session, bench: Bench, round: number): LoadOptions;
}

const tree = ({ root }: Session): string => join(root, "tree");
const looked = (session: Session, { sizes }: Bench): LoadOptions => ({ directory: tree(session), files: sizes.treeFiles });
const cold = (session: Session, bench: Bench): LoadOptions => ({ ...looked(session, bench), forget: session.root });
const warm = (session: Session, bench: Bench): LoadOptions => ({ ...looked(session, bench), loops: bench.sizes.warmLoops });
const twice = (session: Session, bench: Bench): LoadOptions => ({ ...looked(session, bench), loops: 2 });

function changed(session: Session, { sizes }: Bench, round: number): LoadOptions {
  return { directory: join(session.root, "scratch"), files: sizes.changeFiles, tag: `r${round}` };
}

/** Files that are used up: each round has its own. */
function usedUp(folder: string, filesIn: (bench: Bench) => number): MetadataPhase["options"] {
  return ({ root }, bench, round) => ({
    directory: join(root, "once", folder),
    files: filesIn(bench),
    first: round * bench.sizes.changeFiles,
  });
}

const copiedUp = ({ sizes, storage }: Bench): number => syncedOn(storage.kind, sizes.changeFiles, sizes);
const removed = ({ sizes }: Bench): number => sizes.changeFiles;

const PHASES: readonly MetadataPhase[] = [
  { name: "stat-cold", title: "stat, names not cached", load: "stat", options: cold },
  { name: "stat-warm", title: "stat, names cached", load: "stat", options: warm },
  { name: "open-close", title: "open and close", load: "open", options: twice },
  { name: "open-hot", title: "open and close of one file over and over", load: "open-same", options: twice },
  { name: "open-read", title: "open, read 4 KiB, close", load: "read", options: twice },
  { name: "open-read-cold", title: "open, read 4 KiB, close, names not cached", load: "read", options: cold },
  { name: "readdir", title: "readdir, a name", load: "readdir", options: twice },
  { name: "walk-cold", title: "readdir and stat of each name, not cached", load: "walk", options: cold },
  {
    name: "missing",
    title: "stat of names that are missing, never asked for before",
    load: "missing",
    options: (session, bench, round) => ({ ...looked(session, bench), tag: `r${round}` }),
  },
  {
    name: "missing-known",
    title: "stat of names that are missing, asked for before",
    load: "missing",
    options: (session, bench) => ({ ...looked(session, bench), loops: 5, tag: "known" }),
  },
  { name: "create", title: "create", load: "create", options: changed },
  { name: "create-write", title: "create, write 4 KiB, close", load: "create-write", options: changed },
  { name: "mkdir", title: "mkdir", load: "mkdir", options: changed },
  { name: "rename", title: "rename", load: "rename", options: changed },
  { name: "chmod", title: "chmod", load: "chmod", options: changed },
  { name: "unlink", title: "unlink", load: "unlink", options: changed },
  { name: "copy-up", title: "copy-up of a file of 4 KiB", load: "copy-up", copyUp: true, options: usedUp("copy-up", copiedUp) },
  { name: "whiteout", title: "unlink of a lower file", load: "whiteout", copyUp: true, options: usedUp("whiteout", removed) },
];

function metadataPhase({ name, title, load, copyUp, options }: MetadataPhase): Phase {
  return {
    name,
    title,
    group: "metadata",
    unit: "ns/op",
    ...(copyUp ? { copyUp } : {}),
    measure: async (session, bench, round) => {
      const { elapsedNs, operations } = await runLoad(bench.load, load, options(session, bench, round));
      return elapsedNs / operations;
    },
  };
}

const largeCopyUp: Phase = {
  name: "copy-up-large",
  title: "copy-up of a large file",
  group: "metadata",
  unit: "ms",
  copyUp: true,
  mostRounds: LARGE_FILES,
  measure: async ({ root }, bench, round) => {
    const { elapsedNs } = await runLoad(bench.load, "copy-up-large", {
      directory: join(root, "big"),
      files: 1,
      tag: `r${round % LARGE_FILES}`,
    });
    return elapsedNs / 1e6;
  },
};

export const metadataPhases: readonly Phase[] = [...PHASES.map(metadataPhase), largeCopyUp];
