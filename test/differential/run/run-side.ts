/** Runs sequences on a mounted tree in another process, and survives if one of them hangs or kills it. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";
import type { Snapshot } from "../../conformance/tree/snapshot-tree.js";
import type { Assignment, Line, Outcome } from "./side-process.js";

const SIDE_PROCESS = fileURLToPath(new URL("../dist/differential/run/side-process.js", import.meta.url));
/** The longest time without output: a sequence is small. */
const SILENCE_MS = 120_000;
const ENDED = "it ended";

export interface SideResult {
  /** By the sequence's name. */
  outcomes: Map<string, readonly Outcome[]>;
  /** The merged tree after the last sequence. */
  tree: Snapshot;
  /** The reason if something is missing. */
  trouble: string | undefined;
}

/** `looks`: whether the result has the tree. */
export function runSide(work: Omit<Assignment, "look">, { looks }: { looks: boolean }): Promise<SideResult> {
  const directory = scratch();
  const [file, tree] = [`${directory}/assignment.json`, `${directory}/tree.json`];
  const assignment: Assignment = { ...work, look: looks ? tree : undefined };
  writeFileSync(file, JSON.stringify(assignment));
  const child = spawn(process.execPath, [SIDE_PROCESS, file], { stdio: ["ignore", "pipe", "pipe"] });
  const outcomes = new Map<string, readonly Outcome[]>();
  let under = "nothing";
  let stderr = "";
  return new Promise((resolve) => {
    const finish = (how: string): void => {
      clearTimeout(timer);
      child.unref();
      const seen = looks && existsSync(tree) && how === ENDED;
      const missing = assignment.sequences.some(({ name }) => !outcomes.has(name)) || seen !== looks;
      const found = seen ? (JSON.parse(readFileSync(tree, "utf8")) as Snapshot) : {};
      resolve({ outcomes, tree: found, trouble: missing ? `${under}: ${how}` : undefined });
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      finish("it hung");
    }, SILENCE_MS);
    child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
    createInterface(child.stdout).on("line", (text) => {
      timer.refresh();
      const line = JSON.parse(text) as Line;
      if ("began" in line) under = line.began;
      else outcomes.set(line.ended, line.outcomes);
    });
    child.on("close", (code, signal) => finish(code === 0 ? ENDED : `code ${code} signal ${signal} ${stderr}`));
  });
}
