/** The memory for requests that come at once, and the part of it that stays. */
import { describe, expect, it } from "vitest";
import { DataPool, RequestPool } from "./buffer-pools.js";
import { MAX_BACKGROUND } from "../connection/init.js";

const MEBIBYTE = 1 << 20;
const AT_ONCE = 200;

/** So many requests of so many bytes are under way at once; then they are answered. */
function burst(pool: RequestPool, bytes: number): Set<unknown> {
  const taken = Array.from({ length: AT_ONCE }, () => pool.take());
  for (const request of taken) {
    request.length = bytes;
    pool.give(request);
  }
  return new Set(taken);
}

describe("requests", () => {
  it("reuse the same buffers if they are small, however many come at once", () => {
    const pool = new RequestPool(MEBIBYTE);
    const first = burst(pool, 4096);
    expect(first.size).toBe(AT_ONCE);
    expect([...burst(pool, 4096)].every((request) => first.has(request))).toBe(true);
  });

  it("release large buffers beyond the number of background requests", () => {
    const pool = new RequestPool(MEBIBYTE);
    const first = burst(pool, MEBIBYTE);
    const again = [...burst(pool, 4096)].filter((request) => first.has(request));
    expect(again.length).toBe(MAX_BACKGROUND);
    // The request's memory counts as taken from then on.
    expect([...burst(pool, MEBIBYTE)].filter((request) => first.has(request)).length).toBe(MAX_BACKGROUND);
  });
});

it("builds replies of each size in the same buffers again", () => {
  const pool = new DataPool(MEBIBYTE);
  for (const bytes of [4096, MEBIBYTE]) {
    const taken = Array.from({ length: 8 }, () => pool.take(bytes));
    for (const buffer of taken) pool.give(buffer);
    expect(Array.from({ length: 8 }, () => pool.take(bytes)).every((buffer) => taken.includes(buffer))).toBe(true);
  }
});
