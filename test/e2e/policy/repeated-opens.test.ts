/** Opens that the kernel repeats, since they need another nodeId, while other callers move and remove the name. */
import type { Intent, IoWatch, Ruling } from "@sluice/overlay";
import { directory, plant, requires, scratch } from "@sluice/testkit";
import { andThen, type CallContext, Errno, O, type Status } from "@sluice/vfs";
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

/** The observed caller may open what lies in the lower layer, and nothing of the upper one. */
function layered(): { judged: string[]; repeats: unknown[]; open(id: number): Status; lookup(): number; swap(): Status } {
  const base = scratch();
  plant(base, { "lower/file": "lower", "upper/new": "upper", "work/": directory() });
  const [judged, repeats]: [string[], unknown[]] = [[], []];
  const authorize = async ({ pid }: CallContext, intent: Intent): Promise<Ruling> => {
    if (pid !== observed.pid) return { effect: "grant", errno: 0 };
    judged.push(intent.layer);
    repeats.push(intent.repeats);
    return intent.layer === "upper" ? { effect: "deny", errno: Errno.EACCES } : RULING;
  };
  const overlay = overlayOver(base, { ...OPEN_GATE, active: true, authorize });
  const lookup = (): number => {
    const out = entry();
    expect(overlay.lookup(observed, 1, "file", out)).toBe(0);
    return out.nodeId;
  };
  const open = (id: number): Status => overlay.open(observed, id, O.RDWR, opened());
  const swap = (): Status => overlay.rename(one, { parent: 1, name: "new", newParent: 1, newName: "file", flags: 0 });
  const reader = overlay.open(one, lookup(), O.RDONLY, opened());
  return { judged, repeats, open: (id) => andThen(reader, () => open(id)), lookup, swap };
}

test("an open that copies its file up, and comes again by another nodeId, is judged by the layer that it was judged by first", async () => {
  const { judged, repeats, open, lookup } = layered();
  expect(await open(lookup())).toBe(Errno.ESTALE);
  expect(await open(lookup())).toBe(0);
  expect(judged).toEqual(["lower0", "lower0"]);
  expect(repeats).toEqual([false, true]);
  // That open is over.
  expect(await open(lookup())).toBe(Errno.EACCES);
});

test("an open that finds another file when it comes again is judged by the layer of that one", async () => {
  const { judged, repeats, open, lookup, swap } = layered();
  expect(await open(lookup())).toBe(Errno.ESTALE);
  expect(await swap()).toBe(0);
  expect(await open(lookup())).toBe(Errno.EACCES);
  expect(judged).toEqual(["lower0", "upper"]);
  expect(repeats).toEqual([false, false]);
});
