import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { sluice } from "../testing/typed-command.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-check-"));
afterAll(() => rmSync(directory, { recursive: true }));

it("counts no rules of an engine elsewhere", () => {
  const policy = join(directory, "opa.yaml");
  writeFileSync(policy, 'kind: opa\nurl: "http://127.0.0.1:8181"\npath: sluice/decision\n');
  expect(sluice("policy", "check", policy)).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("ok, kind opa, revision 0") as string,
  });
});

it("gives a file that does not exist no place", () => {
  const stderr = "sluice: /nonexistent: the file does not exist (ENOENT): correct the name\n";
  expect(sluice("policy", "check", "/nonexistent")).toEqual({ status: 2, stdout: "", stderr });
});
