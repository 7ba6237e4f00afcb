/**
 * A removed lower device or FIFO stays removed, whatever a holder of an open descriptor does. Kernel overlayfs puts it back, so
 * the comparison with it ends there.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { check, native } from "@sluice/native";
import { mountSluice, mountsShareProcess, plant, requires, scratch } from "@sluice/testkit";
import { AT, S } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const KINDS = { device: { mode: S.IFCHR | 0o666, major: 1, minor: 3 }, fifo: { mode: S.IFIFO | 0o666, major: 0, minor: 0 } } as const;

for (const [kind, { mode, major, minor }] of Object.entries(KINDS)) {
  test(`a removed lower ${kind} stays removed`, async () => {
    const lower = plant(scratch(), { other: "other" });
    for (const name of ["gone", "replaced"]) check(native.mknodat(AT.FDCWD, join(lower, name), mode, major, minor), "make it");
    const layers = { lowers: [lower], upper: scratch(), work: scratch() };
    const mount = await mountSluice(layers);
    const [gone, replaced] = ["gone", "replaced"].map((name) => openSync(mount.path(name), constants.O_RDONLY | constants.O_NONBLOCK));
    unlinkSync(mount.path("gone"));
    renameSync(mount.path("other"), mount.path("replaced"));
    for (const fd of [gone as number, replaced as number]) {
      fchmodSync(fd, 0o600);
      fchownSync(fd, 1, 2);
      futimesSync(fd, 5, 6);
    }
    const shown = (at: string): unknown => [
      readdirSync(at, { withFileTypes: true }).map((one) => [one.name, one.isFile()]),
      readFileSync(join(at, "replaced"), "utf8"),
    ];
    const left = [[["replaced", true]], "other"];
    expect(shown(mount.mountpoint)).toEqual(left);
    for (const fd of [gone as number, replaced as number]) closeSync(fd);
    writeFileSync(mount.path("gone"), "new");
    unlinkSync(mount.path("gone"));
    await mount.stop();
    const again = await mountSluice(layers);
    expect(shown(again.mountpoint)).toEqual(left);
    await again.stop();
  });
}
