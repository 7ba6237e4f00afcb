import { expect, test } from "vitest";
import { decodeGrant, encodeGrant, type PersistedGrant } from "./persisted-grant.js";

const grant: PersistedGrant = {
  caller: { pid: 7, uid: 1000, gid: 1000 },
  sinceMs: 1_700_000_000_000,
  fallback: "io",
  decisionId: "d-1",
  revision: "abc",
  byPerson: true,
  rule: "with ümlaut",
  obliged: {
    question: { id: "q", resource: { sizeBytes: 2n ** 60n, xattrs: new Map([["user.a", Uint8Array.of(0, 255)]]) } } as never,
    decision: { decisionId: "d-1", revision: { sequence: 2n ** 60n, digest: "abc" } } as never,
    terms: { auditEach: true } as never,
  },
};

test("a persisted grant is bytes, and reads back unchanged, with large numbers and bytes", () => {
  const text = encodeGrant(grant);
  expect(Buffer.from(text, "latin1").toString("latin1")).toBe(text);
  expect(decodeGrant(text)).toMatchObject(grant);
});

test("rejects the grant of another version, and other text", () => {
  expect(decodeGrant(encodeGrant(grant).replace('"version":1', '"version":2'))).toBeUndefined();
  expect(decodeGrant("{")).toBeUndefined();
  expect(decodeGrant("")).toBeUndefined();
});
