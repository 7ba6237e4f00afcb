/** Layers that were upper layers once: a later mount must find the objects that earlier mounts moved there. */
import { dir, opaque, whiteout } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import { type Case, directoryName } from "../case.js";

/** A directory that an earlier mount moved from `path` in the layers below. */
function movedFrom(caseName: string, path: string, entries = {}): ReturnType<typeof dir> {
  return dir(entries, { xattrs: { "trusted.overlay.redirect": `/${directoryName(caseName)}/${path}` } });
}

const THROUGH_OPAQUE = "a redirect leads on from below an opaque directory";
const MOVED_ON = "what lies in a directory that a layer between has moved is moved on";
const MOVED_TWICE = "a directory moved in two layers is moved on";

export const stackedLayerCases: readonly Case[] = [
  {
    name: THROUGH_OPAQUE,
    lower: { first: dir({ a: "1", sub: dir({ b: "1" }) }) },
    top: { first: whiteout(), over: opaque({ second: movedFrom(THROUGH_OPAQUE, "first", { c: "2" }) }) },
    upper: { over: whiteout(), third: movedFrom(THROUGH_OPAQUE, "over/second", { d: "3" }) },
    run(t) {
      t.list("third");
      t.list("third/sub");
      t.read("third/a");
      t.stat("over");
      t.rename("third", "fourth");
      t.list("fourth");
    },
  },
  {
    name: MOVED_ON,
    lower: { old: dir({ sub: dir({ a: "1", deep: dir({ b: "1" }) }), other: dir({ c: "1" }) }), place: dir() },
    top: { old: whiteout(), moved: movedFrom(MOVED_ON, "old") },
    run(t) {
      t.rename("moved/sub", "place/sub");
      t.list("place/sub");
      t.rename("place/sub/deep", "deep");
      t.list("deep");
      t.rename("moved", "again");
      t.rename("again/other", "place/other");
      t.list("place/other");
      t.list("again");
    },
  },
  {
    name: MOVED_TWICE,
    lower: { a: dir({ b: dir({ c: dir({ f: "1" }) }) }) },
    top: { a: dir({ b: whiteout() }), x: movedFrom(MOVED_TWICE, "a/b", { c: dir({ g: "2" }) }) },
    upper: { x: whiteout(), y: movedFrom(MOVED_TWICE, "x") },
    run(t) {
      t.list("y/c");
      t.mkdir("z");
      t.rename("y/c", "z/c");
      t.list("z/c");
      t.rename("z/c", "a/b");
      t.list("a/b");
      t.list("z");
    },
  },
  {
    name: "removing a directory that was moved leaves a whiteout only where something lies below",
    lower: { from: dir({ a: dir({ f: "1" }), b: dir({ f: "1" }) }), onto: dir({ b: "1" }), keep: "1" },
    run(t: Probe) {
      t.mkdir("new");
      t.rename("from/a", "new/a");
      t.unlink("new/a/f");
      t.rmdir("new/a");
      t.list("new");
      t.unlink("onto/b");
      t.rename("from/b", "onto/b");
      t.unlink("onto/b/f");
      t.rmdir("onto/b");
      t.list("onto");
      t.list("from");
    },
  },
];
