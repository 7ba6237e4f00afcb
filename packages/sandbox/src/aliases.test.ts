import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { MountRow } from "@sluice/mount-control";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { aliasesOf } from "./aliases.js";

function row(mountpoint: string, root: string, device = "8:1"): MountRow {
  return { mountId: 1, device, root, mountpoint, options: "rw", type: "ext4", source: "/dev/x", superOptions: "rw" };
}

test("finds every path at which mounts of the same file system show a directory, or a part of it", () => {
  const at = scratch();
  for (const name of ["home/project", "whole/project", "same", "part", "other/project"]) mkdirSync(join(at, name), { recursive: true });
  const table = [
    row(join(at, "home"), "/srv"),
    row(join(at, "whole"), "/srv"),
    row(join(at, "same"), "/srv/project"),
    row(join(at, "part"), "/srv/project/deep/part"),
    row(join(at, "beside"), "/srv/project2"),
    row(join(at, "other"), "/srv", "8:2"),
    row(join(at, "gone"), "/srv"),
  ];
  expect(aliasesOf(join(at, "home/project"), table)).toEqual([
    { path: join(at, "whole/project"), within: "" },
    { path: join(at, "same"), within: "" },
    { path: join(at, "part"), within: "/deep/part" },
  ]);
});

test("finds none for a path that is on no mount", () => {
  expect(aliasesOf("/nowhere", [])).toEqual([]);
});
