import { expect, test } from "vitest";
import type { Node } from "../node/node.js";
import { Listing } from "./listing.js";
import { RecentListings } from "./recent-listings.js";

const node = {} as Node;

test("whoever takes over gives no list a number that cookies of an earlier one carry", () => {
  const journal = { lastListing: 0 };
  const before = new RecentListings(journal);
  const told = [before.add(node, new Listing()), before.add(node, new Listing())];
  const after = new RecentListings(journal);
  for (const number of told) expect(after.find(number, node)).toBeUndefined();
  expect(told).not.toContain(after.add(node, new Listing()));
  for (const number of told) expect(after.find(number, node)).toBeUndefined();
});

test("numbers come again when all were given", () => {
  const listings = new RecentListings();
  const numbers = Array.from({ length: 1022 }, () => listings.add(node, new Listing()));
  expect(new Set(numbers).size).toBe(1022);
  const listing = new Listing();
  expect(listings.add(node, listing)).toBe(numbers[0]);
  expect(listings.find(numbers[0] as number, node)).toBe(listing);
});
