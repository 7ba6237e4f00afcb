/** The table of ids behaves as a Map does, and holds nothing of removed entries. */
import assert from "node:assert/strict";
import { seededRandom } from "@sluice/testkit/random";
import { describe, expect, it } from "vitest";
import { IdPages } from "./id-pages.js";

interface Thing {
  readonly name: string;
}

const FAR = 2 ** 40;

describe("id pages", () => {
  it("does what a map does, whatever the order", () => {
    const pages = new IdPages<Thing>();
    const map = new Map<number, Thing>();
    const { below, once } = seededRandom(7);
    for (let step = 0; step < 20_000; step++) {
      const id = below(700) + (once(2) ? FAR : 0);
      if (once(3)) {
        pages.delete(id);
        map.delete(id);
      } else {
        const thing = { name: `${step}` };
        pages.set(id, thing);
        map.set(id, thing);
      }
      assert.equal(pages.size, map.size);
      assert.equal(pages.get(id), map.get(id));
    }
    for (const [id, thing] of map) assert.equal(pages.get(id), thing);
    expect(new Set(pages.values())).toEqual(new Set(map.values()));
  });

  it("has nothing after it was cleared, and takes more", () => {
    const pages = new IdPages<Thing>();
    pages.set(1, { name: "one" });
    pages.clear();
    expect([pages.size, pages.get(1), ...pages.values()]).toEqual([0, undefined]);
    pages.set(FAR, { name: "far" });
    expect([...pages.values()]).toEqual([{ name: "far" }]);
  });

  it("survives that an entry goes while all are looked at", () => {
    const pages = new IdPages<Thing>();
    for (let id = 0; id < 300; id++) pages.set(id, { name: `${id}` });
    let seen = 0;
    for (const { name } of pages.values()) {
      pages.delete(Number(name));
      seen++;
    }
    expect([seen, pages.size]).toEqual([300, 0]);
  });

  it("has the newest page serve the next numbers once it is empty, and no older one", () => {
    const pages = new IdPages<Thing>();
    for (let id = 0; id < 1_000; id++) {
      pages.set(id, { name: `${id}` });
      expect([pages.size, pages.get(id)?.name, [...pages.values()].length]).toEqual([1, `${id}`, 1]);
      pages.delete(id);
      expect([pages.size, pages.get(id), pages.get(id - 64), pages.get(id + 64), ...pages.values()]).toEqual([
        0,
        undefined,
        undefined,
        undefined,
      ]);
    }
    pages.set(3, { name: "older" });
    pages.set(2_000, { name: "newer" });
    expect([...pages.values()]).toEqual([{ name: "older" }, { name: "newer" }]);
    expect([pages.size, pages.get(3)?.name, pages.get(2_000)?.name, pages.get(1_000 - 1)]).toEqual([2, "older", "newer", undefined]);
  });

  it("keeps an entry of a page that went with its last entry, whatever page is used next", () => {
    const pages = new IdPages<Thing>();
    pages.set(1_000, { name: "newest" });
    pages.set(1, { name: "first" });
    pages.delete(1);
    pages.set(1, { name: "second" });
    expect([pages.get(1_000)?.name, pages.get(1)?.name, pages.size]).toEqual(["newest", "second", 2]);
  });

  it("has no entry under the former numbers of a page that serves new ones", () => {
    const pages = new IdPages<Thing>();
    pages.set(5, { name: "old" });
    pages.delete(5);
    pages.set(70, { name: "new" });
    expect([pages.get(70 - 64), pages.get(70)?.name]).toEqual([undefined, "new"]);
  });
});
