/** One subject mounted and ready to be measured. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CleanUp } from "../clean-up.js";
import { type ProcessorTime, processesNaming, processorTime, residentBytes } from "../machine/processes.js";
import { runCommand } from "../machine/run-command.js";
import type { Storage } from "../machine/storage.js";
import { stopDaemon } from "./daemon.js";
import type { SubjectDirectories, Subject } from "./subject.js";

export interface Session {
  subject: Subject;
  /** The merged tree. */
  root: string;
  /** From the start of its daemon until it served, in steps of 10 ms. */
  mountMs: number;
  /** Of the daemon and its children; 0 if there is none. */
  residentBytes(): number;
  /** Of the daemon and its children, since they started. */
  processorTime(): ProcessorTime;
  stop(): Promise<void>;
}

export interface Tree {
  /** Topmost first. */
  lowers: readonly string[];
  /** Left out of the copies that mirrors get: names at the top that only a copy-up could use. */
  notForMirrors: readonly string[];
}

/** The merged tree as plain files: lowest layer first, so that the upper ones win. */
async function copyMerged(tree: Tree, source: string): Promise<void> {
  for (const lower of tree.lowers.toReversed()) {
    const excluded = tree.notForMirrors.map((name) => `--exclude=./${name}`).join(" ");
    await runCommand("sh", ["-c", `tar -C "$1" ${excluded} -cf - . | tar -C "$2" -xf -`, "sh", lower, source]);
  }
}

/** Apart from the trees that everybody shares: a subject may be named as one of them is. */
function placeOf({ name }: Subject, { layers }: Storage): string {
  return join(layers, "subjects", name);
}

async function makeDirectories(subject: Subject, tree: Tree, storage: Storage): Promise<SubjectDirectories> {
  const own = placeOf(subject, storage);
  const directories: SubjectDirectories = {
    lowers: tree.lowers,
    upper: join(own, "upper"),
    work: join(own, "work"),
    source: join(own, "copy"),
    mountpoint: join(storage.mounts, subject.name),
    layersRoot: storage.layers,
    log: join(storage.outside, `${subject.name}.log`),
  };
  for (const path of [directories.upper, directories.work, directories.source, directories.mountpoint])
    mkdirSync(path, { recursive: true });
  if (subject.mirrors) await copyMerged(tree, directories.source);
  return directories;
}

export interface SessionMachine {
  storage: Storage;
  cleanUp: CleanUp;
  /** For the daemon. */
  environment?: Readonly<Record<string, string>>;
}

/** @throws BenchError if the subject does not mount */
export async function openSession(subject: Subject, tree: Tree, machine: SessionMachine): Promise<Session> {
  const directories = { ...(await makeDirectories(subject, tree, machine.storage)), environment: machine.environment ?? {} };
  const own = placeOf(subject, machine.storage);
  const stop = machine.cleanUp.add(async () => {
    await stopDaemon(directories.mountpoint);
    await runCommand("rm", ["-rf", "--", own]);
  });
  const startedMs = performance.now();
  await subject.start(directories);
  const mountMs = performance.now() - startedMs;
  // Looked for once: walking /proc around every measurement would be load of our own.
  const family = processesNaming(directories.mountpoint);
  return {
    subject,
    root: directories.mountpoint,
    mountMs,
    residentBytes: () => residentBytes(family),
    processorTime: () => processorTime(family),
    stop,
  };
}
