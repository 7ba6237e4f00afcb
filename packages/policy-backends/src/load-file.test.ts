import { expect, it } from "vitest";
import type { PolicyFiles } from "./document/policy-files.js";
import { beginLoad } from "./load-file.js";
import { NO_BACKEND_EVENTS } from "./policy-kind.js";

function load(read: () => Buffer): unknown {
  const reader: PolicyFiles = { read, digest: () => "", changed: () => false, directories: () => [] };
  return beginLoad({ file: "policy.yaml", reader, events: NO_BACKEND_EVENTS, depth: 0, busy: false });
}

it("blames the text of a policy for bytes that are not UTF-8, and for no other failure", () => {
  expect(() => load(() => Buffer.from("# ä\nno\xff", "latin1"))).toThrow("policy.yaml:1:3: it is not UTF-8: save it as UTF-8");
  expect(() => load(() => Buffer.concat([Buffer.from("# ä\nno"), Buffer.from([0xff])]))).toThrow("policy.yaml:2:3: it is not UTF-8");
  const gone = Object.assign(new Error("ENOENT: process.cwd failed"), { code: "ENOENT", syscall: "uv_cwd" });
  expect(() =>
    load(() => {
      throw gone;
    }),
  ).toThrow(gone);
});
