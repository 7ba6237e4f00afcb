/**
 * Main file of a task's process. Tasks work in the mount with plain blocking calls: they may be killed at any moment,
 * while the process that started them touches no mounted file and so can always clean up.
 */
import { buildTypescript } from "./build-typescript.js";
import { editTree } from "./edit-tree.js";
import { readBlocked, readFrozen } from "./frozen-daemon.js";
import { makeProject } from "./git-project.js";
import { useLargeFile } from "./large-file.js";
import { measureThroughput } from "./measure-throughput.js";
import { searchTree } from "./search-tree.js";
import { compareRecords, recordTrees } from "./snapshot-trees.js";
import type { MessageFromTask, MessageToTask, TaskContext, TaskFunction, TaskName } from "./task-table.js";
import { tryDenied } from "./try-denied.js";

const TASKS: { readonly [N in TaskName]: TaskFunction<N> } = {
  snapshot: recordTrees,
  compare: compareRecords,
  project: makeProject,
  typescriptBuild: buildTypescript,
  search: searchTree,
  editTree,
  largeFile: useLargeFile,
  denied: tryDenied,
  frozen: readFrozen,
  blocked: readBlocked,
  throughput: measureThroughput,
};

const say = (message: MessageFromTask): Promise<void> => new Promise((resolve) => process.send?.(message, () => resolve()));

let go: () => void = () => {};
const context: TaskContext = {
  meet: async () => {
    const told = new Promise<void>((resolve) => {
      go = resolve;
    });
    await say({ kind: "ready" });
    await told;
  },
};

async function run(name: TaskName, input: unknown): Promise<void> {
  try {
    const output: unknown = await (TASKS[name] as (input: unknown, context: TaskContext) => unknown)(input, context);
    await say({ kind: "done", output });
  } catch (error) {
    await say({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
  process.disconnect();
}

process.on("message", (message: MessageToTask) => {
  if (message.kind === "go") go();
  else void run(message.name, message.input);
});
// Whoever started us is gone: there is nobody left to work for.
process.on("disconnect", () => process.exit(0));
