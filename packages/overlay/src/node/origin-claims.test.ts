import { describe, expect, test } from "vitest";
import { OriginClaims } from "./origin-claims.js";

describe("OriginClaims", () => {
  test("tells numbers apart by both words", () => {
    const claims = new OriginClaims();
    claims.give(7, 0, 100);
    claims.give(7, 1, 101);
    expect([claims.ownerOf(7, 0), claims.ownerOf(7, 1), claims.ownerOf(8, 0)]).toEqual([100, 101, undefined]);
  });

  test("tells neighbours on another device apart", () => {
    const claims = new OriginClaims();
    claims.give(14, 1 << 24, 100);
    expect([13, 14, 15, 16].map((lo) => claims.ownerOf(lo, 1 << 24))).toEqual([undefined, 100, undefined, undefined]);
  });

  test("keeps the claims that were used last when it is full", () => {
    const claims = new OriginClaims(2);
    claims.give(1, 0, 100);
    claims.give(2, 0, 101);
    claims.give(1, 0, 100);
    claims.give(3, 0, 102);
    expect([claims.ownerOf(1, 0), claims.ownerOf(2, 0), claims.ownerOf(3, 0)]).toEqual([100, undefined, 102]);
    claims.give(4, 1, 103);
    expect([claims.ownerOf(1, 0), claims.ownerOf(3, 0), claims.ownerOf(4, 1)]).toEqual([undefined, 102, 103]);
  });
});
