/** Opens that the kernel repeats, since they need another nodeId, while other callers move and remove the name. */
import type { IoWatch, Ruling } from "@sluice/overlay";
import { directory, plant, requires, scratch } from "@sluice/testkit";
import { type CallContext, Errno, O, type Status } from "@sluice/vfs";
import { expect } from "vitest";
import { entry, OPEN_GATE, opened, overlayOver } from "../harness/bare-overlay.js";

const { test } = requires("CAP_SYS_ADMIN");

const call = (pid: number): CallContext => ({ uid: 0, gid: 0, pid, groups: undefined, labels: [], signal: new AbortController().signal });
const [one, observed] = [call(1), call(2)];
const watch = (): IoWatch => ({ before: (io) => io.length, after: () => undefined });
const RULING: Ruling = { effect: "mediate", errno: 0, watch };

interface Stage {
  overlay: ReturnType<typeof overlayOver>;
  base: string;
  lookup(name: string, by?: CallContext): number;
  open(id: number, by: CallContext): Status;
}

/** Two files of three that one caller has open through the kernel's cache. Each byte of the other caller is watched. */
function stage(): Stage & { a: number; b: number } {
  const base = scratch();
  plant(base, { "lower/": directory(), "upper/a": "a", "upper/b": "b", "upper/c": "c", "work/": directory() });
  const authorize = ({ pid }: CallContext): Ruling => (pid === observed.pid ? RULING : { effect: "grant", errno: 0 });
  const overlay = overlayOver(base, { ...OPEN_GATE, active: true, authorize });
  const lookup = (name: string, by = one): number => {
    const out = entry();
    const status = overlay.lookup(by, 1, name, out);
    return status === 0 ? out.nodeId : -Number(status);
  };
  const open = (id: number, by: CallContext): Status => overlay.open(by, id, O.RDWR, opened());
  const [a, b] = [lookup("a"), lookup("b")];
  for (const id of [a, b]) expect(open(id, one)).toBe(0);
  return { overlay, base, lookup, open, a, b };
}

test("an open whose name has another file when the kernel looks again goes on to that", async () => {
  const { overlay, lookup, open, a, b } = stage();
  expect(open(a, observed)).toBe(Errno.ESTALE);
  expect(await overlay.rename(one, { parent: 1, name: "b", newParent: 1, newName: "a", flags: 0 })).toBe(0);
  const found = lookup("a", observed);
  expect([a, b]).not.toContain(found);
  expect(open(found, observed)).toBe(0);
});

test("an open that ends since its name is gone leaves the caller's next open of the file alone", async () => {
  const { overlay, lookup, open, a } = stage();
  expect(await overlay.link(one, a, { parent: 1, name: "other" }, entry())).toBe(0);
  expect(open(a, observed)).toBe(Errno.ESTALE);
  expect(await overlay.unlink(one, 1, "a")).toBe(0);
  expect(lookup("a", observed)).toBeLessThanOrEqual(0);
  // The kernel knows the other name, so it does not look it up.
  expect(open(a, observed)).toBe(Errno.ESTALE);
  expect(open(lookup("other", observed), observed)).toBe(0);
});

test("an open of another file leaves nothing of one that did not come again", () => {
  const { lookup, open, a } = stage();
  const c = lookup("c", observed);
  expect(open(a, observed)).toBe(Errno.ESTALE);
  expect(open(c, observed)).toBe(0);
  expect(open(a, observed)).toBe(Errno.ESTALE);
  expect(open(lookup("a", observed), observed)).toBe(0);
});
