import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { everyOther, mountTable, requires, scratch } from "@sluice/testkit";
import { describe, expect, test } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { drawPlot } from "./report/draw-plot.js";
import type { BenchReport } from "./report/bench-report.js";
import { judgeFigures } from "./report/figures.js";
import { renderPage } from "./report/markdown.js";
import { figureTables } from "./report/tables.js";
import { readResults } from "./report/write-results.js";
import { type PhaseResult, ratioOf } from "./run/measurements.js";
import { spreadOf } from "./run/statistics.js";

const MAIN = fileURLToPath(new URL("dist/main.js", import.meta.url));

function place(): { tmp: string; out: string } {
  const folder = scratch();
  const [tmp, out] = [join(folder, "tmp"), join(folder, "out")];
  mkdirSync(tmp);
  return { tmp, out };
}

/** The children of the process that work without an end. */
function workersOf(parent: number): number {
  const isWorker = (pid: string): boolean => {
    try {
      const ofParent = readFileSync(`/proc/${pid}/status`, "latin1").includes(`PPid:\t${parent}\n`);
      return ofParent && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("for (;;);");
    } catch {
      // It has ended.
      return false;
    }
  };
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isWorker(pid)).length;
}

/** The benchmark looks for programs itself, and names what is missing. */
const environment = (tmp: string): NodeJS.ProcessEnv => {
  const PATH = process.env["SLUICE_TEST_PATH"] ?? process.env["PATH"];
  return { ...process.env, PATH, TMPDIR: tmp };
};

function bench(tmp: string, ...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { env: environment(tmp), encoding: "utf8" });
}

function leftBelow(tmp: string): string[] {
  return [...readdirSync(tmp), ...mountTable().flatMap(({ mountpoint }) => (mountpoint.startsWith(tmp) ? [mountpoint] : []))];
}

function result(samples: PhaseResult["samples"], unit: PhaseResult["unit"] = "ms"): PhaseResult {
  return { name: "rand-write", group: "data", title: "", unit, samples, daemonCpuMs: {}, notes: {} };
}

const RANDOM_WRITES = "granted random writes, against the best FUSE peer: rand-write";

function reportOf(samples: PhaseResult["samples"], subjects: BenchReport["subjects"]): BenchReport {
  const storages = [{ layersOn: "tmpfs", rounds: 1, results: [result(samples, "MB/s")], memory: {} }];
  return { base: "overlayfs", storages, subjects, scale: [], costs: [] } as unknown as BenchReport;
}

describe("the summary of samples", () => {
  test("a spread is the median and the quartiles", () => {
    expect(spreadOf([5, 1, 3, 2, 4])).toEqual({ median: 3, low: 2, high: 4 });
  });

  test("a ratio is taken within each round, and above 1 is faster whatever the unit", () => {
    expect(ratioOf(result({ a: [10, 100], b: [20, 200] }), "a", "b")?.median).toBe(2);
    expect(ratioOf(result({ a: [10, 100], b: [20, 200] }, "MB/s"), "a", "b")?.median).toBe(0.5);
  });

  test("a round that one of the two missed does not count", () => {
    expect(ratioOf(result({ a: [null, 10], b: [1, 20] }), "a", "b")).toEqual({ median: 2, low: 2, high: 2 });
    expect(ratioOf(result({ a: [10] }), "a", "b")).toBeUndefined();
  });

  test("a figure against the peers is held to the fastest of them", () => {
    const samples = { "sluice-granted": [1000], slow: [10], fast: [200] };
    const subjects = ["slow", "fast"].map((name) => ({ name, about: "", kind: "peer" }));
    const judged = judgeFigures(reportOf(samples, subjects)).find(({ what }) => what === RANDOM_WRITES);
    expect(judged).toMatchObject({ on: "tmpfs", found: "5.00", outcome: "short" });
  });

  test("a figure that is short names its cause, and says where the spread reaches what is wanted", () => {
    const subjects = [{ name: "fast", about: "", kind: "peer" }];
    const found = (own: readonly number[]) => judgeFigures(reportOf({ "sluice-granted": [...own], fast: [1, 1, 1] }, subjects));
    const judged = (own: readonly number[]) => found(own).find(({ what }) => what === RANDOM_WRITES);
    expect(judged([10, 11, 12])).toMatchObject({ outcome: "met", cause: "" });
    expect(judged([1, 2, 3])).toMatchObject({ outcome: "short", withinSpread: false, cause: expect.stringMatching(/^the peer /) });
    expect(judged([9, 9, 13])).toMatchObject({ outcome: "short", withinSpread: true });
  });

  test("a figure beside busy processors is of that part of the run alone, and others of none of it", () => {
    const part = (busy: boolean, ns: number) => ({
      layersOn: "tmpfs",
      busy,
      rounds: 1,
      results: [{ ...result({ sluice: [ns], peer: [30] }, "ns/op"), name: "create", group: "metadata" }],
      memory: {},
    });
    const subjects = [{ name: "peer", about: "", kind: "peer" }];
    const report = { base: "peer", storages: [part(false, 10), part(true, 20)], subjects, scale: [], costs: [] };
    const means = judgeFigures(report as unknown as BenchReport).filter(({ found }) => found !== "–");
    expect(means.map(({ what, on, found }) => [what, on, found])).toEqual([
      ["names and attributes, against the best FUSE peer: create", "tmpfs", "3.00"],
      ["names and attributes, geometric mean", "tmpfs", "3.00"],
      ["names and attributes beside busy processors, geometric mean", "tmpfs, other processors busy", "1.50"],
    ]);
  });

  test("the tables of figures have a column for each file system, and mark a short figure by its cause", () => {
    const part = (layersOn: string, ns: number) => ({
      layersOn,
      rounds: 1,
      results: [
        { ...result({ sluice: [10], peer: [30] }, "ns/op"), name: "create", group: "metadata" },
        { ...result({ sluice: [ns], peer: [30] }, "ns/op"), name: "stat-cold", group: "metadata" },
      ],
      memory: {},
    });
    const subjects = [{ name: "peer", about: "", kind: "peer" }];
    const report = { base: "peer", storages: [part("tmpfs", 10), part("ext4", 60)], subjects, scale: [], costs: [] };
    const { tables, causes } = figureTables(report as unknown as BenchReport);
    const rows = tables.flatMap((table) => table.rows);
    const at = rows.findIndex(([, phase]) => phase === "create");
    expect(rows.slice(at, at + 2)).toEqual([
      ["names and attributes, against the best FUSE peer", "create", "≥ 1.00", "3.00", "3.00"],
      ["", "stat-cold", "", "3.00", "0.50 short (1)"],
    ]);
    expect(causes[0]).not.toBe("");
  });

  test("rewrites the marked parts of a page, and nothing else", () => {
    const report = reportOf({ sluice: [1], overlayfs: [2] }, [
      { name: "overlayfs", about: "of the kernel", kind: "kernel" },
      { name: "sluice", about: "ours | yours", kind: "sluice" },
    ]);
    const page = "before\n<!-- measured: subjects -->\nold\n<!-- end of what was measured -->\nafter\n";
    const written = renderPage(page, report, "benchmarks");
    expect(written).toBe(
      "before\n<!-- measured: subjects -->\n\n- overlayfs: of the kernel\n- sluice: ours | yours\n\n<!-- end of what was measured -->\nafter\n",
    );
    expect(renderPage(written, report, "benchmarks")).toBe(written);
    expect(() => renderPage(page.replace("subjects", "nothing"), report, "benchmarks")).toThrow(/no such part/);
  });

  test("docs/benchmarks.md says what its results.json holds", () => {
    const folder = fileURLToPath(new URL("../../docs/benchmarks", import.meta.url));
    const page = readFileSync(`${folder}.md`, "utf8");
    expect(renderPage(page, readResults(folder), "benchmarks"), "run: npm run bench -- --render docs/benchmarks").toBe(page);
  });

  test("a plot has a dot for each subject but the base", () => {
    const plot = drawPlot("data", [result({ a: [1, 2], b: [2, 3], c: [3, 4] })], ["a", "b", "c"], "a");
    expect(plot.match(/r="3.5"/g)).toHaveLength(2);
  });
});

describe("the command line", () => {
  test.each([
    ["an unknown option", ["--fast"]],
    ["an unknown subject", ["--subjects", "nobody"]],
    ["an unknown phase", ["--phases", "no-such-phase"]],
    ["an unknown quantity", ["--scale-only", "names,happiness"]],
    ["a subject without a binary", ["--subject", "name"]],
  ])("%s is refused before anything is made", (_title, args) => {
    const { tmp } = place();
    const { status, stderr } = bench(tmp, ...args);
    expect({ status, left: leftBelow(tmp) }).toEqual({ status: 2, left: [] });
    expect(stderr).toMatch(/^sluice bench: .+: /);
  });

  test("help names every option", () => {
    const { stdout, status } = bench(place().tmp, "--help");
    expect(status).toBe(0);
    for (const option of [
      "--quick",
      "--phases",
      "--subjects",
      "--subject",
      "--rounds",
      "--layers-on",
      "--scale",
      "--scale-only",
      "--costs",
      "--figures",
      "--minutes",
      "--busy",
      "--render",
    ])
      expect(stdout).toContain(option);
  });
});

const TINY = ["--tiny", "--base", "native"];

/** One of two long runs, which start many mounts: `npm run test:soak bench` makes both. */
const turn = chooseSeed();
const [phases, scaleAndCosts] = [everyOther(test, turn), everyOther(requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc").test, turn + 1)];

requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command cc").describe("a run", () => {
  phases("measures every subject in every phase, and leaves nothing behind", { timeout: 180_000 }, () => {
    const { tmp, out } = place();
    const phases = "stat-cold,create,copy-up,untar,search";
    const done = bench(
      tmp,
      ...TINY,
      "--subjects",
      "native,overlayfs,sluice,sluice-mediated",
      "--phases",
      phases,
      "--figures",
      "--out",
      out,
    );
    expect(done.status, done.stderr).toBe(0);
    const report = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as BenchReport;
    const [storage] = report.storages;
    expect(storage?.results.map(({ name }) => name)).toEqual(phases.split(","));
    for (const { name, samples, notes } of storage?.results ?? []) {
      const expected =
        name === "copy-up" ? ["overlayfs", "sluice", "sluice-mediated"] : ["native", "overlayfs", "sluice", "sluice-mediated"];
      expect(Object.keys(samples).sort(), name).toEqual(expected);
      expect(Object.values(samples).every(([value]) => value !== null && value !== undefined && value > 0)).toBe(true);
      expect(Object.keys(notes)).toEqual(name === "copy-up" ? ["native"] : []);
    }
    expect(storage?.results.every(({ daemonCpuMs }) => (daemonCpuMs["sluice"]?.[0] ?? 0) > 0)).toBe(true);
    expect(storage?.memory["sluice"]?.idleBytes).toBeGreaterThan(1 << 20);
    expect(readdirSync(out).sort()).toEqual(["metadata-tmpfs.svg", "results.json", "work-tmpfs.svg"]);
    expect(done.stdout).toContain("Figures");
    expect(leftBelow(tmp)).toEqual([]);
  });

  test("tells how long a server takes to take over, and what a lookup costs with a keeper", { timeout: 180_000 }, () => {
    const { tmp, out } = place();
    const done = bench(tmp, ...TINY, "--base", "sluice", "--subjects", "sluice,sluice-kept", "--scale-only", "known files", "--out", out);
    expect(done.status, done.stderr).toBe(0);
    const { scale, storages } = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as BenchReport;
    expect(storages[0]?.results).toEqual([]);
    expect(scale.map(({ experiment, subject, at }) => `${experiment}: ${subject}, ${at}`).sort()).toEqual([
      "longest pause in an upgrade: sluice-kept, 100",
      "lookup of a file that was not known: sluice, 100",
      "lookup of a file that was not known: sluice-kept, 100",
      "of that, restoring: sluice-kept, 100",
      "pause when the server is killed: sluice-kept, 100",
    ]);
    for (const { values } of scale) expect(values[0]).toBeGreaterThan(0);
    expect(done.stdout).toContain("restoring");
    expect(leftBelow(tmp)).toEqual([]);
  });

  test("a subject that does not mount is named, the others are measured, and the exit code says so", { timeout: 300_000 }, () => {
    const { tmp, out } = place();
    const named = ["--subject", "broken=/bin/false", "--subject", "absent=/no/such/binary"];
    // With phases whose inputs are made by programs.
    const phases = "stat-warm,git-clone,npm-ci,imports";
    const done = bench(tmp, ...TINY, ...named, "--subjects", "native,broken,absent", "--phases", phases, "--out", out);
    expect(done.status).toBe(1);
    expect(done.stderr).toContain("broken: did not mount");
    expect(done.stderr.match(/^broken: .* in .*$/gm)).toEqual([expect.stringMatching(/^broken: broken in mount: /)]);
    expect(done.stderr).toContain("skipped absent: /no/such/binary cannot be run");
    const report = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as BenchReport;
    expect(Object.keys(report.storages[0]?.results[0]?.samples ?? {})).toEqual(["native"]);
    expect(leftBelow(tmp)).toEqual([]);
  });

  test("an interrupt takes mounts, daemons and files away", { timeout: 300_000 }, async () => {
    const { tmp } = place();
    const child = spawn(
      process.execPath,
      [MAIN, ...TINY, "--rounds", "1000", "--subjects", "native,overlayfs,sluice", "--phases", "create"],
      {
        env: environment(tmp),
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const code = new Promise<number | null>((resolve) => child.on("close", resolve));
    while (!said.includes("round 1 ") && child.exitCode === null) await sleep(20);
    child.kill("SIGINT");
    expect(await code, said).toBe(130);
    expect(leftBelow(tmp)).toEqual([]);
  });
});

requires("CAP_SYS_ADMIN", "kernel overlayfs", "command cc", "command taskset").test(
  "--busy has a program work on each processor but the first until the end",
  async () => {
    const { tmp, out } = place();
    const args = [...TINY, "--busy", "--rounds", "5", "--subjects", "native,overlayfs", "--phases", "create", "--out", out];
    const child = spawn(process.execPath, [MAIN, ...args], { env: environment(tmp), stdio: ["ignore", "pipe", "ignore"] });
    let [said, most] = ["", 0];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    const code = new Promise<number | null>((resolve) => child.on("close", resolve));
    const working = (): number => workersOf(child.pid as number);
    for (; child.exitCode === null; await sleep(5)) most = Math.max(most, working());
    expect([await code, most, working()]).toEqual([0, cpus().length - 1, 0]);
    expect(readdirSync(out)).toContain("metadata-tmpfs-busy.svg");
    expect(said).toContain("layers on tmpfs, other processors busy");
  },
  120_000,
);

requires("CAP_SYS_ADMIN", "kernel overlayfs", "loop devices", "command mkfs.ext4", "command cc").test(
  "layers may lie on an ext4 of the run's own",
  () => {
    const { tmp, out } = place();
    const done = bench(
      tmp,
      ...TINY,
      "--layers-on",
      "ext4",
      "--subjects",
      "native,overlayfs",
      "--phases",
      "create,copy-up-large",
      "--out",
      out,
    );
    expect(done.status, done.stderr).toBe(0);
    const { storages } = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as BenchReport;
    expect({ layersOn: storages[0]?.layersOn, measured: storages[0]?.results.map(({ samples }) => Object.keys(samples)) }).toEqual({
      layersOn: "ext4",
      measured: [["native", "overlayfs"], ["overlayfs"]],
    });
    expect(leftBelow(tmp)).toEqual([]);
  },
  120_000,
);

scaleAndCosts(
  "scaling and costs measure each amount on each subject",
  () => {
    const { tmp, out } = place();
    const done = bench(tmp, ...TINY, "--scale", "--costs", "--phases", "none", "--subjects", "native,sluice", "--out", out);
    expect(done.status, done.stderr).toBe(0);
    const { scale, costs } = JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as BenchReport;
    const of = (quantity: string, subject: string) => scale.filter((point) => point.quantity === quantity && point.subject === subject);
    expect(of("layers", "sluice").map(({ at }) => at)).toEqual([1, 1, 1, 3, 3, 3]);
    expect(of("layers", "native")).toEqual([]);
    for (const quantity of ["names in a directory", "client processes", "open files", "files in the tree"])
      expect(of(quantity, "sluice").length, quantity).toBeGreaterThan(0);
    const wanted = ["time to mount", "growth under churn", "pause for garbage, p99.9", "size on disk, without Node"];
    const known = costs.filter(({ subject, values }) => subject === "sluice" && Number.isFinite(values[0])).map(({ cost }) => cost);
    expect(known).toEqual(expect.arrayContaining(wanted));
    expect(leftBelow(tmp)).toEqual([]);
  },
  180_000,
);
