import { expect, test } from "vitest";
import { NameHash } from "./name-hash.js";

const BUCKETS = 1 << 16;

test("spreads the names of a directory, and one name in many directories, over all buckets", () => {
  const hash = new NameHash();
  const many = Array.from({ length: BUCKETS }, (_, at) => at);
  const filled = (hashes: readonly number[]): number => new Set(hashes.map((one) => one % BUCKETS)).size / BUCKETS;
  // If there are as many throws as buckets, 63 % of the buckets are hit.
  expect(filled(many.map((at) => hash.ofText(7, `file-${at}.ts`)))).toBeGreaterThan(0.6);
  expect(filled(many.map((at) => hash.ofText(2 + at, "index.ts")))).toBeGreaterThan(0.6);
  expect(filled(many.map((at) => hash.ofText(2 ** 32 * at, "index.ts")))).toBeGreaterThan(0.6);
});

test("hashes bytes as their text", () => {
  const hash = new NameHash();
  for (const [parent, name] of [
    [1, ""],
    [7, "a"],
    [2 ** 31, "\x00\x7f\x80\xff"],
    [2 ** 53 - 1, "x".repeat(255)],
  ] as const) {
    const bytes = Buffer.from(`..${name}..`, "latin1");
    expect(hash.ofBytes(parent, bytes, 2, 2 + name.length)).toBe(hash.ofText(parent, name));
  }
});

test("names that collide by one table do not by another: users, who choose names, cannot know the table", () => {
  const [one, other] = [new NameHash(), new NameHash()];
  const meeting: string[] = [];
  for (let at = 0; meeting.length < 200; at++) if (one.ofText(7, `n${at}`) % 256 === 0) meeting.push(`n${at}`);
  expect(new Set(meeting.map((name) => other.ofText(7, name) % 256)).size).toBeGreaterThan(80);
});
