import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMountTable } from "@sluice/mount-control";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { placeOnWay, placesOf } from "./own-paths.js";

let root = "";
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "own-paths-")));
  mkdirSync(join(root, "mount/inside"), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

const to = (path: string): unknown => placeOnWay(`${root}/${path}`, new Set([join(root, "mount")]));

describe("the way of a path into a mount of this process", () => {
  it("is found before the path enters it", () => {
    expect(to("mount")).toEqual({ place: join(root, "mount"), beyond: false });
    expect(to("mount/./")).toEqual({ place: join(root, "mount"), beyond: false });
    expect(to("mount/no/such/name")).toEqual({ place: join(root, "mount"), beyond: true });
    expect(to("other/../mount/inside")).toBeUndefined(); // there is no "other"
    mkdirSync(join(root, "other"));
    expect(to("other")).toBeUndefined();
    expect(to("mount.other/inside")).toBeUndefined();
  });

  it("is found behind absolute and relative links, also in the middle and in a circle", () => {
    symlinkSync(join(root, "mount"), join(root, "absolute"));
    symlinkSync("absolute/inside", join(root, "relative"));
    expect(to("absolute")).toEqual({ place: join(root, "mount"), beyond: false });
    expect(to("relative/x")).toEqual({ place: join(root, "mount"), beyond: true });
    symlinkSync("loop", join(root, "loop"));
    expect(to("loop/x")).toBeUndefined();
  });
});

describe("the places of mounts", () => {
  const row = (device: string, mountpoint: string, type: string, options = "rw"): string =>
    `1 1 ${device} / ${mountpoint} rw - ${type} source ${options}`;
  const table = readMountTable(
    [
      row("0:1", "/", "ext4"),
      row("0:7", "/mnt/view", "fuse.sluice"),
      row("0:7", "/srv/bound", "fuse.sluice"),
      row("0:8", "/mnt/other", "fuse.sluice"),
      row("0:9", "/merged", "overlay", "rw,lowerdir=/mnt/view/a:/b,upperdir=/u,workdir=/w"),
      row("0:10", "/plain", "overlay", "rw,lowerdir=/mnt/viewpoint:/b"),
    ].join("\n"),
  );

  it("are the mount points, other places of the same mount, and kernel overlays over one", () => {
    expect([...placesOf(["/mnt/view", "/mnt/starting"], table)].sort()).toEqual(["/merged", "/mnt/starting", "/mnt/view", "/srv/bound"]);
  });
});
