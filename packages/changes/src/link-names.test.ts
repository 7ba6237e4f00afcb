import { linkSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { openTree } from "@sluice/layer-tools";
import { native, openRealDirectory } from "@sluice/native";
import { directory, file, hardLink, plant, requires, snapshot, whiteout } from "@sluice/testkit";
import { AT, O } from "@sluice/vfs";
import { expect } from "vitest";
import { linkNames } from "./link-names.js";
import { untilCall } from "./testing/dying-system.js";
import { type PlantedSession, plantSession, type Where } from "./testing/plant-session.js";

const { test } = requires("CAP_SYS_ADMIN");
const OLD = { mtimeNs: 3_000_000_000n };

/** The mark of a lower object, of which the name of its entry in the index is made. */
function markOf(path: string, withUuid: boolean): Buffer {
  const [handle, uuid] = [Buffer.alloc(128), Buffer.alloc(16)];
  const fd = openRealDirectory(join(path, ".."), O.RDONLY);
  const both = native.nameToHandleAt(fd, path.slice(path.lastIndexOf("/") + 1), 0, handle);
  if (withUuid) native.getFsUuid(fd, uuid);
  native.close(fd);
  const bytes = handle.subarray(0, both & 0xffff);
  return Buffer.concat([Buffer.from([0, 0xfb, 21 + bytes.length, 0, both >>> 16]), uuid, bytes]);
}

/** As a mount leaves it that changed `f`, and was asked for no other name of it. */
async function indexed(where?: Where, withUuid = true): Promise<PlantedSession & { work: string; link(): void }> {
  const session = await plantSession(
    {
      f: file("old"),
      "d/": directory({ mode: 0o2751, uid: 5, gid: 6, ...OLD, xattrs: { "user.note": "d" } }),
      "d/e/": directory(OLD),
      "d/e/g": hardLink("f"),
      "d/gone": hardLink("f"),
      "d/other": file("old"),
      "d/pair": hardLink("d/other"),
      k: hardLink("f"),
    },
    { f: file("new", { xattrs: { "trusted.overlay.nlink": "U+2" } }), k: file("replaced") },
    where,
  );
  const work = join(session.directory, "work");
  for (const path of ["", "index", "work"]) mkdirSync(join(work, path));
  linkSync(join(session.upper, "f"), join(work, "index", markOf(join(session.base, "f"), withUuid).toString("hex")));
  native.setxattrat(AT.FDCWD, session.upper, "trusted.overlay.origin", markOf(session.base, withUuid), 0);
  plant(session.upper, { "d/": directory({ mode: 0o2751, uid: 5, gid: 6, ...OLD, xattrs: { "user.note": "d" } }), "d/gone": whiteout() });
  return { ...session, work, link: () => linkNames(openTree(work, false), () => session.place) };
}

test("the names of a changed file are found on a file system with a UUID, by an index with it and by one without", async () => {
  for (const withUuid of [true, false]) {
    const session = await indexed({ base: "tmpfs", session: "tmpfs" }, withUuid);
    session.link();
    expect(readdirSync(join(session.work, "index"))).toEqual([]);
    expect(readFileSync(join(session.upper, "d/e/g"), "utf8")).toBe("new");
  }
});

test("each name of a changed file gets its link, in a copy of its directory, and the index is empty then", async () => {
  const session = await indexed();
  session.link();
  expect(readdirSync(join(session.work, "index"))).toEqual([]);
  expect(readFileSync(join(session.upper, "d/e/g"), "utf8")).toBe("new");
  expect(statSync(join(session.upper, "d/e/g")).ino).toBe(statSync(join(session.upper, "f")).ino);
  expect(statSync(join(session.upper, "f")).nlink).toBe(2);
  expect(readdirSync(join(session.upper, "d")).sort()).toEqual(["e", "gone"]);
  const marks = { ignoreXattrs: /^trusted\.overlay\./ };
  for (const path of ["d", "d/e"]) expect(snapshot(session.upper, marks).get(path)).toEqual(snapshot(session.base, marks).get(path));
  expect(session.review().map(({ path, sameFile }) => [path, sameFile])).toEqual([
    ["d/e/g", ["f"]],
    ["d/gone", undefined],
    ["f", ["d/e/g"]],
    ["k", undefined],
  ]);
  const fd = openRealDirectory(join(session.upper, "d"), O.RDONLY);
  expect(native.getxattrat(fd, "e", "trusted.overlay.origin", Buffer.alloc(128))).toBeGreaterThan(0);
  expect(native.getxattrat(fd, "", "trusted.overlay.impure", Buffer.alloc(8))).toBe(1);
  native.close(fd);
  expect(native.getxattrat(AT.FDCWD, join(session.upper, "f"), "trusted.overlay.nlink", Buffer.alloc(8))).toBeLessThan(0);
});

test("names that a killed command left are linked by the next one", async () => {
  const session = await indexed();
  let ended = false;
  let calls = 0;
  for (; !ended; calls++) ended = await untilCall(calls, () => session.link());
  expect(calls).toBeGreaterThan(5);
  expect(session.review().map(({ path }) => path)).toEqual(["d/e/g", "d/gone", "f", "k"]);
  expect(readdirSync(join(session.work, "index"))).toEqual([]);
  expect(readdirSync(join(session.work, "work"))).toEqual([]);
});
