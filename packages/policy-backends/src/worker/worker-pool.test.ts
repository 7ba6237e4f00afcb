import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { WorkerPool } from "./worker-pool.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-pool-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** It ends at the task "end", and its second thread cannot be set up. */
const PROGRAM = `
import { appendFileSync, statSync } from "node:fs";
import { parentPort } from "node:worker_threads";
parentPort.on("message", ({ task, input }) => {
  if (input === "end") process.exit();
  if (task === 0) appendFileSync(input, ".");
  const fails = task === 0 && statSync(input).size === 2;
  parentPort.postMessage(fails ? { task, ok: false, error: "no memory just now" } : { task, ok: true, output: input });
});
`;

test("a thread whose successor cannot be set up gets another one", async () => {
  const [program, starts] = [join(directory, "program.mjs"), join(directory, "starts")];
  writeFileSync(program, PROGRAM);
  const options = { program: pathToFileURL(program), setup: starts, threads: 1, budgetMs: 30_000, setupBudgetMs: 30_000 };
  const { pool } = await WorkerPool.open(options);
  expect(await pool.run("one")).toBe("one");
  await expect(pool.run("end")).rejects.toThrow("its engine's thread ended");
  await expect(pool.run("two")).rejects.toThrow("no memory just now");
  expect(await pool.run("three")).toBe("three");
  await pool.close();
}, 30_000);
