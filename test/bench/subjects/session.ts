/** One subject mounted and ready to be measured. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CleanUp } from "../clean-up.js";
import { type ProcessorTime, processesNaming, processorTime, residentBytes } from "../machine/processes.js";
import { runCommand } from "../machine/run-command.js";
import type { Storage } from "../machine/storage.js";
import { stopDaemon } from "./daemon.js";
import type { Ground, Subject } from "./subject.js";

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

async function makeGround(subject: Subject, tree: Tree, storage: Storage): Promise<Ground> {
  const own = placeOf(subject, storage);
  const ground: Ground = {
    lowers: tree.lowers,
    upper: join(own, "upper"),
    work: join(own, "work"),
    source: join(own, "copy"),
    mountpoint: join(storage.mounts, subject.name),
    layersRoot: storage.layers,
    log: join(storage.outside, `${subject.name}.log`),
  };
  for (const path of [ground.upper, ground.work, ground.source, ground.mountpoint]) mkdirSync(path, { recursive: true });
  if (subject.mirrors) await copyMerged(tree, ground.source);
  return ground;
}

export interface SessionMachine {
  storage: Storage;
  cleanUp: CleanUp;
  /** For the daemon. */
  environment?: Readonly<Record<string, string>>;
}

/** @throws BenchError if the subject does not mount */
export async function openSession(subject: Subject, tree: Tree, machine: SessionMachine): Promise<Session> {
  const ground = { ...(await makeGround(subject, tree, machine.storage)), environment: machine.environment ?? {} };
  const own = placeOf(subject, machine.storage);
  const stop = machine.cleanUp.add(async () => {
    await stopDaemon(ground.mountpoint);
    await runCommand("rm", ["-rf", "--", own]);
  });
  const startedMs = performance.now();
  await subject.start(ground);
  const mountMs = performance.now() - startedMs;
  // Looked for once: walking /proc around every measurement would be load of our own.
  const family = processesNaming(ground.mountpoint);
  return {
    subject,
    root: ground.mountpoint,
    mountMs,
    residentBytes: () => residentBytes(family),
    processorTime: () => processorTime(family),
    stop,
  };
}
