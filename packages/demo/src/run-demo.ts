/** The demo from the first layer to the report: which steps there are, and in which order. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { DemoError } from "./demo-error.js";
import { formatBytes, formatCount } from "./format-units.js";
import { generateLayers } from "./generate-layers.js";
import { formatKeepHints } from "./keep-hints.js";
import { kernelHasOverlayfs, mountKernelOverlay, unmountKernelOverlay } from "./kernel-overlay.js";
import { MountDaemon } from "./mount-daemon.js";
import { mountsBelow } from "./mount-table.js";
import { FILES, type DemoPaths } from "./demo-paths.js";
import type { Progress } from "./progress.js";
import { isOnPath } from "./preflight.js";
import { hasExactTimes, hasPassthrough, readChanges, readPolicyFacts } from "./read-status.js";
import { formatReport, type FrozenFacts, type KernelCheck, type ReportData } from "./report.js";
import { TaskRunner } from "./task-process.js";
import type { SnapshotOutput, TaskName, TaskTable } from "./tasks/task-table.js";

const TASK_MS = 120_000;
/** Many and short ones: what else the machine does comes and goes. */
const ROUNDS = 15;
/** How long a read of a mediated file is watched not to come back. */
const BLOCKED_MS = 500;

export class DemoRun {
  readonly #tasks = new TaskRunner();
  readonly #daemon: MountDaemon;
  readonly #start = performance.now();

  readonly paths: DemoPaths;

  constructor(
    setting: { paths: DemoPaths; engine: string | undefined },
    readonly progress: Progress,
    readonly signal: AbortSignal,
  ) {
    this.paths = setting.paths;
    this.#daemon = new MountDaemon(setting.paths, setting.engine);
    signal.addEventListener("abort", () => this.#tasks.killAll());
  }

  /** Leaves the mount up if `keep`; else everything still stands, for `cleanUp`. Throws DemoError. */
  async run(keep: boolean): Promise<void> {
    try {
      const before = await this.#makeLayers();
      await this.#mount("Mount them with the policy");
      const work = await this.#work();
      const seen = await this.#look();
      const kernel = await this.#compareWithKernel();
      const lower = await this.#compareLowers(before);
      if (keep) await this.#mount("Mount again, to keep");
      const { changes, ...facts } = { ...work, ...seen };
      const seconds = (performance.now() - this.#start) / 1000;
      this.progress.output.write(formatReport({ ...facts, upper: { changes, kernel }, lower, seconds }));
      if (lower.differences.length > 0) throw new DemoError(1, "a lower layer changed while it was mounted, by us or by somebody else");
      if (keep) this.#leaveMounted();
      else this.progress.output.write("Now on files of yours: npx sluice run -- bash (docs/run.md)\n");
    } catch (error) {
      // A task killed by an interruption fails of that; the interruption is the reason.
      this.signal.throwIfAborted();
      const { ended } = this.#daemon;
      if (ended === undefined) throw error;
      throw new DemoError(1, `the mount ended by itself (${ended}): ${this.#daemon.lastWords()}\n${String(error)}`, { cause: error });
    }
  }

  /** Ends tasks, daemon and mounts, and removes the scratch directory. Safe at any moment, also twice. */
  async cleanUp(): Promise<void> {
    this.#tasks.killAll();
    const clean = await this.#daemon.stop();
    if (!clean) this.progress.output.write("  the daemon did not answer SIGTERM and was killed\n");
    unmountKernelOverlay(this.paths);
    const left = mountsBelow(this.paths.scratch);
    if (left.length > 0) throw new DemoError(1, `${left.join(", ")}: still mounted: unmount it, then remove ${this.paths.scratch}`);
    if (existsSync(this.paths.scratch)) await rm(this.paths.scratch, { recursive: true });
  }

  #step<T>(name: string, action: () => Promise<T>, detail: (result: T) => string): Promise<T> {
    this.signal.throwIfAborted();
    return this.progress.step(name, action, detail);
  }

  #task<N extends TaskName>(title: string, name: N, input: TaskTable[N]["input"], detail: (output: TaskTable[N]["output"]) => string) {
    return this.#step(title, () => this.#tasks.run(name, input, TASK_MS), detail);
  }

  async #makeLayers(): Promise<SnapshotOutput> {
    const { paths } = this;
    const size = Object.values(FILES).reduce((sum, file) => sum + file.sizeBytes, 0);
    await this.#step(
      "Make a lower layer of large files",
      () => generateLayers(paths, this.signal),
      () => formatBytes(size),
    );
    return this.#recordLowers("Record both lower layers", "before", true);
  }

  #recordLowers(title: string, name: string, primeTimes: boolean): Promise<SnapshotOutput> {
    const trees = [
      { name: "data", root: this.paths.lowerData },
      { name: "node_modules", root: this.paths.lowerTree },
    ];
    const input = { trees, options: { times: "all" }, primeTimes, output: join(this.paths.snapshots, name) } as const;
    return this.#task(title, "snapshot", input, ({ objects }) => `${formatCount(objects)} objects with their content`);
  }

  async #mount(title: string): Promise<void> {
    await this.#step(
      title,
      () => this.#daemon.start(this.signal),
      () => this.paths.mountPoint,
    );
  }

  async #work(): Promise<Pick<ReportData, "largeFile" | "denied" | "frozen" | "throughput">> {
    const view = { mountPoint: this.paths.mountPoint };
    const git = isOnPath("git");
    await this.#task(git ? "Commit a project to git" : "Copy a project", "project", { ...view, git }, ({ files, commits }) =>
      commits === undefined ? `${files} names; not committed: apt-get install git` : `${files} files, ${commits} commits, fsck clean`,
    );
    await this.#task("Build it with TypeScript", "typescriptBuild", view, ({ outputs, answer }) => `${outputs} files written, ${answer}`);
    await this.#task(
      "Search the whole tree",
      "search",
      view,
      ({ files, matches, refused }) => `${formatCount(files)} files, ${matches} match, ${refused} refused`,
    );
    await this.#task(
      "Remove, rename and edit packages",
      "editTree",
      view,
      ({ removed, renamed, appended }) => `${removed}, ${renamed}, ${appended}`,
    );
    const original = join(this.paths.lowerData, FILES.large.path);
    const largeFile = await this.#task(
      "Read, write and map large files",
      "largeFile",
      { ...view, original },
      ({ readBytes, writtenBytes }) => `${formatBytes(readBytes)} read, ${formatBytes(writtenBytes)} written`,
    );
    const denied = await this.#task("Try what is denied", "denied", view, ({ attempts }) => `${attempts.length} ways, each EACCES`);
    const frozen = await this.#freezeIfPassthrough();
    const throughput = await this.#measure();
    return { largeFile, denied, frozen, throughput };
  }

  /** The proof needs passthrough: without it every read waits for the daemon. */
  async #freezeIfPassthrough(): Promise<FrozenFacts | undefined> {
    if (!hasPassthrough(await this.#daemon.statusJson())) return undefined;
    return this.#step(
      "Stop the daemon and read on",
      () => this.#freeze(),
      () => "granted went on, mediated waited",
    );
  }

  async #freeze(): Promise<FrozenFacts> {
    const view = { mountPoint: this.paths.mountPoint };
    const frozen = this.#tasks.start("frozen", view, TASK_MS);
    const blocked = this.#tasks.start("blocked", view, TASK_MS);
    try {
      await Promise.all([frozen.ready, blocked.ready]);
      await this.#daemon.freeze();
      frozen.go();
      blocked.go();
      const result = await frozen.result;
      const waited = await Promise.race([blocked.result.then(() => false), sleep(BLOCKED_MS, true)]);
      this.#daemon.thaw();
      if (!waited) throw new DemoError(1, "a mediated file was read while the daemon was stopped: it was not mediated");
      return { frozen: result, blocked: await blocked.result };
    } finally {
      this.#daemon.thaw();
      await Promise.allSettled([frozen.result, blocked.result]);
    }
  }

  #measure(): Promise<TaskTable["throughput"]["output"]> {
    const { lowerData, mountPoint, native } = this.paths;
    const files = {
      native: { read: join(lowerData, FILES.large.path), write: join(native, "measured.bin") },
      passthrough: { read: join(mountPoint, FILES.large.path), write: join(mountPoint, "measured.bin") },
      mediated: { read: join(mountPoint, FILES.metered.path), write: join(mountPoint, "datasets/metered/measured.bin") },
    };
    return this.#task("Measure throughput", "throughput", { files, rounds: ROUNDS }, () => `${ROUNDS} rounds of 3 workloads, 3 ways`);
  }

  #look(): Promise<Pick<ReportData, "policy" | "decisionPid"> & { changes: ReportData["upper"]["changes"] }> {
    return this.#step(
      "Ask sluice status and sluice diff",
      async () => ({
        policy: readPolicyFacts(await this.#daemon.statusJson()),
        decisionPid: await this.#daemon.decisionPid(),
        changes: readChanges(await this.#daemon.diffJson()),
      }),
      ({ policy }) => `${formatCount(policy.granted + policy.mediated + policy.denied)} decisions`,
    );
  }

  /** The merged view as we show it, then as kernel overlayfs shows the same layers; we are unmounted in between. */
  async #compareWithKernel(): Promise<KernelCheck> {
    const { paths } = this;
    const reason = await this.#incomparable();
    if (reason !== undefined) {
      await this.#daemon.stop();
      return { kind: "skipped", reason };
    }
    const [ours, kernels] = [join(paths.snapshots, "merged"), join(paths.snapshots, "kernel")];
    const record = (root: string, output: string) =>
      this.#tasks.run("snapshot", { trees: [{ name: "", root }], options: { times: "modified" }, primeTimes: false, output }, TASK_MS);
    const { objects, differences } = await this.#step(
      "Unmount; let kernel overlayfs mount it",
      async () => {
        await record(paths.mountPoint, ours);
        if (!(await this.#daemon.stop())) throw new DemoError(1, "the daemon did not end by itself at SIGTERM");
        mountKernelOverlay(paths);
        await record(paths.kernelMount, kernels);
        unmountKernelOverlay(paths);
        return this.#tasks.run("compare", { before: ours, after: kernels }, TASK_MS);
      },
      (result) =>
        result.differences.length === 0 ? `identical, ${formatCount(result.objects)} objects` : `${result.differences.length} differ`,
    );
    if (differences.length > 0)
      throw new DemoError(1, `kernel overlayfs shows another tree:\n    ${differences.slice(0, 20).join("\n    ")}`);
    return { kind: "identical", objects };
  }

  /** Why our view and the kernel's cannot be compared to the nanosecond; undefined: they can. */
  async #incomparable(): Promise<string | undefined> {
    if (!kernelHasOverlayfs()) return "this kernel has no overlayfs (modprobe overlay)";
    return hasExactTimes(await this.#daemon.statusJson()) ? undefined : "this engine tells times to the millisecond only";
  }

  async #compareLowers(before: SnapshotOutput): Promise<ReportData["lower"]> {
    await this.#recordLowers("Record both lower layers again", "after", false);
    const at = (name: string): string => join(this.paths.snapshots, name);
    const { objects, differences } = await this.#tasks.run("compare", { before: at("before"), after: at("after") }, TASK_MS);
    return { objects, differences, digest: before.digest };
  }

  #leaveMounted(): void {
    const { pid } = this.#daemon;
    this.#daemon.letGo();
    this.progress.output.write(formatKeepHints(this.paths, pid));
  }
}
