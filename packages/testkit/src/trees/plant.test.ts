import { lstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bytes, nodePath } from "../byte-string.js";
import { charDevice, directory, fifo, file, hardLink, plant, sparse, symlink, whiteout } from "./plant.js";
import { requires } from "../machine/requirements.js";
import { scratch } from "./scratch.js";
import { snapshot } from "./snapshot.js";

describe("plant", () => {
  test("makes files with parents, modes free of the umask, times and owners", () => {
    const before = process.umask(0o077);
    const root = plant(scratch(), {
      "a/b.txt": "text",
      "a/": directory({ mode: 0o750, mtimeNs: 5_000_000_007n }),
      tool: file("#!", { mode: 0o4755, mtimeNs: -1n }),
    });
    process.umask(before);
    expect(readFileSync(join(root, "a/b.txt"), "utf8")).toBe("text");
    expect(statSync(join(root, "a/b.txt")).mode & 0o7777).toBe(0o644);
    expect(statSync(join(root, "a"), { bigint: true }).mtimeNs).toBe(5_000_000_007n);
    expect(statSync(join(root, "a")).mode & 0o7777).toBe(0o750);
    expect(statSync(join(root, "tool")).mode & 0o7777).toBe(0o4755);
    expect(snapshot(root).get("tool")?.mtimeNs).toBe(-1n);
  });

  test("keeps a directory's times though children are planted and set after it", () => {
    const root = plant(scratch(), {
      "d/": directory({ mtimeNs: 1_000_000_000n }),
      "d/x": "1",
      "d/e/": directory({ mtimeNs: 2_000_000_000n }),
      "d/e/y": "2",
    });
    expect(snapshot(root).get("d")?.mtimeNs).toBe(1_000_000_000n);
    expect(snapshot(root).get("d/e")?.mtimeNs).toBe(2_000_000_000n);
  });

  test("makes links, holes and pipes", () => {
    const root = plant(scratch(), {
      one: "same",
      two: hardLink("one"),
      link: symlink("one"),
      pipe: fifo({ mode: 0o600 }),
      holes: sparse(1 << 20, [{ at: 1 << 19, data: "x" }]),
    });
    const seen = snapshot(root, { hardLinks: true });
    expect(seen.get("two")).toMatchObject({ sameAs: "one", links: 2 });
    expect(seen.get("link")).toMatchObject({ type: "symlink", target: "one" });
    expect(seen.get("pipe")).toMatchObject({ type: "fifo", mode: "600" });
    expect(lstatSync(join(root, "holes"))).toMatchObject({ size: 1 << 20 });
    expect(lstatSync(join(root, "holes")).blocks).toBeLessThan(1 << 11);
  });

  test("takes names that are not UTF-8", () => {
    const root = plant(scratch(), { "\xff\xfe": "bytes", [bytes("é")]: "text" });
    expect([...snapshot(root).keys()]).toEqual(["", bytes("é"), "\xff\xfe"]);
    expect(readFileSync(nodePath(`${bytes(root)}/\xff\xfe`), "utf8")).toBe("bytes");
    expect(readFileSync(join(root, "é"), "utf8")).toBe("text");
  });

  test("refuses a name that says directory and a value that says something else", () => {
    expect(() => plant(scratch(), { "d/": symlink("x") })).toThrow(/drop the slash/);
  });

  requires("CAP_SYS_ADMIN").test("makes marks of overlayfs, devices and trusted attributes", () => {
    const root = plant(scratch(), { gone: whiteout(), "d/": directory({ opaque: true }), null: charDevice(1, 3) });
    const seen = snapshot(root);
    expect(seen.get("gone")).toMatchObject({ type: "character-device", device: "0", mode: "0" });
    expect(seen.get("d")?.xattrs).toEqual({ "trusted.overlay.opaque": Buffer.from("y").toString("hex") });
    expect(readFileSync(join(root, "null"))).toHaveLength(0);
  });
});
