import { expect, test } from "vitest";
import { environmentFor } from "./environment.js";

test("passes variables on, without those that lead to agents and services outside", () => {
  const given = {
    HOME: "/u",
    API_KEY: "x",
    SSH_AUTH_SOCK: "/run/a",
    VSCODE_IPC_HOOK_CLI: "/run/b",
    TMPDIR: "/var/tmp/x",
    PWD: "/else",
  };
  expect(environmentFor("one", "/project", given)).toEqual({ HOME: "/u", API_KEY: "x", PWD: "/project", SLUICE_SESSION: "one" });
});
