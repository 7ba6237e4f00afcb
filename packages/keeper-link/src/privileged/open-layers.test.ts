import { mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import { requires, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { O } from "@sluice/vfs";
import { identityOf } from "./layer-identity.js";
import { commonAncestor, openLayers } from "./open-layers.js";

const { test: privileged } = requires("CAP_SYS_ADMIN");

privileged("follows no link that was put in a layer's place since its path was resolved", () => {
  const root = scratch();
  const [lower, other] = [join(root, "above/lower"), join(root, "other")];
  for (const path of [lower, join(other, "lower")]) mkdirSync(path, { recursive: true });
  const config = { lowers: [lower], dataLowers: [], upper: undefined, work: undefined, flags: 0, volatile: false };
  for (const { rootFd } of openLayers(config).lowers) native.close(rootFd);
  renameSync(join(root, "above"), join(root, "away"));
  symlinkSync(other, join(root, "above"));
  expect(() => openLayers(config)).toThrow(/above\/lower: it cannot be opened \(ELOOP\): leave its path as it is/);
});

privileged("takes no other directory in place of one that was checked", () => {
  const [lower, other] = [scratch(), scratch()];
  const identity = (path: string): string => {
    const fd = native.openat(-100, path, O.PATH, 0);
    const found = identityOf(fd);
    native.close(fd);
    return found ?? "";
  };
  const plan = { lowers: [lower], dataLowers: [], upper: undefined, work: undefined, flags: 0, volatile: false };
  for (const { rootFd } of openLayers({ ...plan, checked: { [lower]: identity(lower) } }).lowers) native.close(rootFd);
  for (const checked of [{ [lower]: identity(other) }, {}])
    expect(() => openLayers({ ...plan, checked })).toThrow(/another directory took its place after it was checked \(ESTALE\)/);
});

test("the deepest directory above both", () => {
  expect(commonAncestor("/srv/a/upper", "/srv/a/work")).toBe("/srv/a");
  expect(commonAncestor("/srv/upper", "/srv/upper2")).toBe("/srv");
  expect(commonAncestor("/upper", "/work")).toBe("/");
  expect(commonAncestor("/srv/a", "/srv/a/b")).toBe("/srv/a");
});
