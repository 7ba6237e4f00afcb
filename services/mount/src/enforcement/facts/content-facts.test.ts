import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Content } from "@sluice/overlay";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ContentReader } from "./content-facts.js";

const NEEDS = { headBytes: 4, needsDigest: false };

/** Of a file that nobody writes. */
function contentAt(path: string): Content {
  const withDescriptor = <T>(use: (fd: number) => T): T => {
    const fd = openSync(path, "r");
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  };
  return { beingWritten: false, mayBeMapped: false, ino: 1n, foundUnmapped: () => undefined, withDescriptor };
}

test("the head of a file stays that of the file while others are read, and is compared with what the file holds now", async () => {
  const [one, other] = [join(scratch(), "one"), join(scratch(), "other")];
  writeFileSync(one, "secret");
  writeFileSync(other, "public");
  const reader = new ContentReader(() => Promise.resolve(false));
  const read = (path: string): ReturnType<ContentReader["read"]> =>
    reader.read(contentAt(path), NEEDS, { missing: [], noDigest: undefined });
  const facts = read(one);
  read(other);
  expect(Buffer.from(facts.head?.bytes ?? []).toString()).toBe("secr");
  expect(reader.holds(contentAt(one), facts)).toBe(true);
  writeFileSync(one, "public");
  expect(reader.holds(contentAt(one), facts)).toBe(false);
  await reader.close();
});
