/** The tasks that run in processes of their own, with the input and output of each. Plain data: it crosses a pipe. */
import type { SnapshotOptions } from "../tree-snapshot.js";

export interface Tree {
  name: string;
  root: string;
}
export interface SnapshotInput {
  trees: readonly Tree[];
  options: SnapshotOptions;
  /** Read everything once before, so that access times stand still. */
  primeTimes: boolean;
  /** The path of the record, as JSON. */
  output: string;
}
export interface SnapshotOutput {
  objects: number;
  digest: string;
}
export interface CompareOutput {
  objects: number;
  differences: string[];
}

export interface ViewInput {
  mountPoint: string;
}
export interface ProjectOutput {
  files: number;
  /** Undefined: there is no git. */
  commits: number | undefined;
}
export interface BuildOutput {
  outputs: number;
  answer: string;
}
export interface SearchOutput {
  files: number;
  matches: number;
  refused: number;
}
export interface EditOutput {
  removed: string;
  renamed: string;
  appended: string;
}
export interface LargeFileOutput {
  readBytes: number;
  readSeconds: number;
  writtenBytes: number;
  writeSeconds: number;
  copyUpBytes: number;
  copyUpSeconds: number;
  mappedBytes: number;
}
export interface DeniedOutput {
  attempts: { what: string; result: string }[];
}
export interface FrozenOutput {
  readBytes: number;
  readSeconds: number;
  writtenBytes: number;
}
export interface BlockedOutput {
  readBytes: number;
}

export type Mode = "native" | "passthrough" | "mediated";
export type Workload = "sequentialRead" | "randomRead" | "sequentialWrite";
export interface ThroughputInput {
  /** Read by sequentialRead and randomRead, and a file that sequentialWrite makes. */
  files: Readonly<Record<Mode, { read: string; write: string }>>;
  rounds: number;
}
/** Median over the rounds: bytes a second, for randomRead reads a second. */
export type ThroughputOutput = Readonly<Record<Workload, Readonly<Record<Mode, number>>>>;

export interface TaskTable {
  snapshot: { input: SnapshotInput; output: SnapshotOutput };
  compare: { input: { before: string; after: string }; output: CompareOutput };
  project: { input: ViewInput & { git: boolean }; output: ProjectOutput };
  typescriptBuild: { input: ViewInput; output: BuildOutput };
  search: { input: ViewInput; output: SearchOutput };
  editTree: { input: ViewInput; output: EditOutput };
  largeFile: { input: ViewInput & { original: string }; output: LargeFileOutput };
  denied: { input: ViewInput; output: DeniedOutput };
  frozen: { input: ViewInput; output: FrozenOutput };
  blocked: { input: ViewInput; output: BlockedOutput };
  throughput: { input: ThroughputInput; output: ThroughputOutput };
}

export type TaskName = keyof TaskTable;
export type TaskFunction<N extends TaskName> = (
  input: TaskTable[N]["input"],
  context: TaskContext,
) => TaskTable[N]["output"] | Promise<TaskTable[N]["output"]>;

/** A task's messages to the process that started it. */
export interface TaskContext {
  /** Says "ready", and waits to be told to go on. */
  meet(): Promise<void>;
}

export type MessageToTask = { kind: "start"; name: TaskName; input: unknown } | { kind: "go" };
export type MessageFromTask = { kind: "ready" } | { kind: "done"; output: unknown } | { kind: "failed"; message: string };
