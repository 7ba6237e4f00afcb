// The process of the namespaces of `sluice run` ends before anybody waits for it.
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project } from "../sandboxed.js";

const { test } = requires(...NEEDS);
const LIMIT_MS = 120_000;

/** PATH with an unshare(1) that runs this shell text. */
function pathWith(text: string): string {
  const directory = scratch();
  const path = join(directory, "unshare");
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return `${directory}:/usr/local/bin:/usr/bin:/bin`;
}

async function runWith(unshare: string): Promise<{ code: number | null; stderr: string; sessions: string[] }> {
  const project = new Project("root", { f: "f\n" }, scratch(), "none");
  mkdirSync(join(project.state, "sluice/sessions"), { recursive: true, mode: 0o700 });
  // Modules by themselves take long enough to load for the process to be over before.
  const env = { SLUICE_BUNDLE: "off", PATH: pathWith(unshare) };
  const { code, stderr } = await project.sluice(["run", "--", "true"], { env });
  return { code, stderr, sessions: readdirSync(join(project.state, "sluice/sessions")) };
}

test(
  "says that namespaces are refused, if their process ends before its words are waited for",
  async () => {
    const { code, stderr, sessions } = await runWith("echo unshare: refused >&2; exit 1");
    expect({ code, sessions }).toEqual({ code: 3, sessions: [] });
    expect(stderr).toMatch(/^unshare: refused\nsluice: namespaces: this machine does not let this user make them/);
  },
  LIMIT_MS,
);

test(
  "names the signal that killed the process of the namespaces before the command began",
  async () => {
    const { code, stderr, sessions } = await runWith("kill -KILL $$");
    expect({ code, stderr, sessions }).toEqual({
      code: 1,
      stderr: "sluice: namespaces: their process was ended by SIGKILL before the command began: run it again\n",
      sessions: [],
    });
  },
  LIMIT_MS,
);
