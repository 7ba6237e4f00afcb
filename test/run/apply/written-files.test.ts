// Programs that have files of the directory open or mapped for writing while a session is applied, or an apply undone.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { requires, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../../fault/exercisers/policies.js";
import { CALLERS, type Caller, NEEDS, Project, rootsViewsShareProcess } from "../sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command python3");
const seed = chooseSeed();
const LIMIT_MS = 240_000;
const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");

test(
  "a file that a program has open for writing is a conflict, also if nobody changed it",
  async () => {
    const project = new Project("root", { log: "old\n", gone: "gone\n", read: "read\n" });
    const script = "echo new > log; rm gone; echo new > read; echo added > added";
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script])).code).toBe(0);
    const writer = startScript(["sh", "-c", "exec 3>>log 4>>gone 5<read; echo ready; exec sleep 1000"], {
      cwd: project.base,
      timeoutMs: LIMIT_MS,
    });
    await writer.waitFor("ready");
    const refused = await project.sluice(["apply", "one"]);
    expect(refused).toMatchObject({ code: 5, stdout: "" });
    expect(refused.stderr).toMatch(
      /^gone \[open for writing by sleep \(process \d+\)\]\nlog \[open for writing by sleep \(process \d+\)\]\n/,
    );
    expect([project.exists("gone"), project.exists("added")]).toEqual([true, false]);
    expect((await project.sluice(["apply", "one", "--take-session", "log", "--skip-conflicts"])).code).toBe(0);
    expect([readFileSync(join(project.base, "log"), "utf8"), project.exists("gone")]).toEqual(["new\n", true]);
    writer.kill("SIGKILL");
    await writer.finished;
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
    expect([project.exists("gone"), project.exists("added")]).toEqual([false, true]);
  },
  LIMIT_MS,
);

/** Python's own mapping keeps a descriptor. */
const MAPS = `
import ctypes, os, signal
os.chdir(os.environ["AT"])
mmap = ctypes.CDLL(None).mmap
mmap.restype = ctypes.c_void_p
mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for name, access, protection in (("mapped", os.O_RDWR, 3), ("read", os.O_RDONLY, 1)):
  fd = os.open(name, access)
  mmap(None, 4, protection, 1, fd, 0)
  os.close(fd)
print("ready", flush=True)
signal.pause()`;

test(
  "a file that a program has mapped for writing is a conflict, although no descriptor leads to it",
  async () => {
    const project = new Project(CALLERS[seed % CALLERS.length] as Caller, { mapped: "old\n", read: "old\n" });
    const script = "echo new > mapped; echo new > read";
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script])).code).toBe(0);
    const writer = startScript(["python3", "-c", MAPS], { cwd: "/", env: { AT: project.base }, timeoutMs: LIMIT_MS });
    await writer.waitFor("ready");
    const refused = await project.sluice(["apply", "one"]);
    expect(refused).toMatchObject({ code: 5, stdout: "" });
    const known =
      project.caller === "root"
        ? /^mapped \[mapped for writing by python3 \(process \d+\)\]$/
        : /^mapped \[open for writing by an unknown program\]$/;
    expect(refused.stderr.split("\n")[0]).toMatch(known);
    expect(refused.stderr).not.toMatch(/^read/m);
    writer.kill("SIGKILL");
    await writer.finished;
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
  },
  LIMIT_MS,
);

test(
  "an undo takes no file away from a program that writes it, or has it mapped",
  async () => {
    const project = new Project("root", { log: "old\n", mapped: "old\n", read: "old\n" });
    const script = "for file in log mapped read added; do echo new > $file; done";
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script])).code).toBe(0);
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
    const programs = [
      ["sh", "-c", "exec 3>>$AT/log 4>>$AT/added; echo ready; exec sleep 1000"],
      ["python3", "-c", MAPS],
    ];
    const writers = programs.map((argv) => startScript(argv, { cwd: "/", env: { AT: project.base }, timeoutMs: LIMIT_MS }));
    for (const writer of writers) await writer.waitFor("ready");
    const refused = await project.sluice(["undo"]);
    expect(refused).toMatchObject({ code: 5, stdout: "" });
    expect(refused.stderr.split("\n").map((line) => line.replace(/\d+/g, "N"))).toEqual([
      "added [open for writing by sleep (process N)]",
      "log [open for writing by sleep (process N)]",
      "mapped [mapped for writing by pythonN (process N)]",
      "sluice: one: programs write N of the applied files: nothing was undone: end the programs, and run the command again",
      "",
    ]);
    expect([read(project, "log"), project.exists("added")]).toEqual(["new\n", true]);
    for (const writer of writers) {
      writer.kill("SIGKILL");
      await writer.finished;
    }
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect([read(project, "log"), read(project, "mapped"), project.exists("added")]).toEqual(["old\n", "old\n", false]);
  },
  LIMIT_MS,
);
