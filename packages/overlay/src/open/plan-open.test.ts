/** Plans for any state of a file: the rules that the kernel, execute-plan.ts and the metrics rely on. */
import { O, S } from "@sluice/vfs";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { OpenFile } from "../handles/handle-table.js";
import { type Backing, InodeIo } from "../node/inode-io.js";
import type { HostLayer, RealDir } from "../layer/host-layer.js";
import { Node } from "../node/node.js";
import { OpenPlan, type OpenToPlan, type PlanContext, planOpen } from "./plan-open.js";

const layerOf = (writable: boolean): HostLayer => ({ writable, eligibility: { state: "unknown" } }) as HostLayer;
const [upper, lower] = [layerOf(true), layerOf(false)];
const count = fc.integer({ min: 0, max: 2 });

/** The opens of one nodeId: never cached and passthrough ones at once. */
const someIo = fc
  .record({
    shared: fc.constantFrom("cached", "passthrough"),
    count,
    direct: count,
    withheld: count,
    observedOnly: fc.boolean(),
    upper: fc.boolean(),
  })
  .map(({ shared, count: opens, direct, withheld, observedOnly, upper: tiedToUpper }) => {
    const io = Object.assign(new InodeIo(), { [shared]: opens, direct, observedOnly });
    if (io.passthrough > 0) io.backing = { id: 1, layer: tiedToUpper ? upper : lower } as Backing;
    for (let open = 0; open < opens + direct; open++) io.handles.add({ place: 0 } as OpenFile);
    io.withheld = Math.min(withheld, io.cached + io.direct);
    return io;
  });

const someContext: fc.Arbitrary<PlanContext> = fc
  .record({ coherentReaders: fc.boolean(), separatesOpens: fc.boolean(), maxStackDepth: fc.constantFrom(0, 1), awaited: fc.boolean() })
  .map(({ coherentReaders, separatesOpens, maxStackDepth, awaited }) => ({
    config: { coherentReaders },
    port: { separatesOpens, negotiated: { maxStackDepth } } as PlanContext["port"],
    upper,
    reroutes: { awaitsOther: () => awaited },
  }));

const someOpen: fc.Arbitrary<OpenToPlan> = fc
  .record({
    io: fc.option(someIo, { nil: undefined }),
    own: fc.option(someIo, { nil: undefined }),
    byAlias: fc.boolean(),
    inUpper: fc.boolean(),
    flags: fc.constantFrom(O.RDONLY, O.WRONLY, O.RDWR, O.RDWR | O.TRUNC),
    arrival: fc.constantFrom("first" as const, "again" as const, "nameless" as const),
    nameless: fc.boolean(),
    isNew: fc.boolean(),
    saysEmpty: fc.boolean(),
  })
  .map(({ own, inUpper, ...open }) => {
    const node = new Node(2, S.IFREG);
    node.dir = { layer: inUpper || open.isNew ? upper : lower } as RealDir;
    node.io = open.byAlias ? own : open.io;
    return { ...open, node, nodeId: open.byAlias ? 3 : 2, pid: 7, write: open.flags !== O.RDONLY };
  });

const someRuling = fc.constantFrom(
  { effect: "grant" as const, errno: 0 },
  { effect: "mediate" as const, errno: 0 },
  { effect: "mediate" as const, errno: 0, watch: () => ({ before: () => 0, after: () => undefined }) },
);

const anyPlan = (check: (plan: OpenPlan, open: OpenToPlan, context: PlanContext, again: () => OpenPlan) => void): void => {
  const reused = new OpenPlan();
  fc.assert(
    fc.property(someContext, someOpen, someRuling, (context, open, ruling) => {
      check(planOpen(context, open, ruling, reused), open, context, () => planOpen(context, open, ruling, new OpenPlan()));
    }),
    { numRuns: 1_000 },
  );
};

test("a plan object that is reused holds nothing of the open before", () => {
  anyPlan((plan, _open, _context, again) => expect(plan).toEqual(again()));
});

test("planning changes nothing", () => {
  anyPlan((_plan, { node, io }, _context, again) => {
    const before = structuredClone({ io, own: node.io });
    again();
    expect(structuredClone({ io, own: node.io })).toEqual(before);
  });
});

test("no nodeId gets cached and passthrough opens at once", () => {
  anyPlan(({ placement, mode, registers }, { io }) => {
    if (placement !== "here" || io === undefined) return;
    if (io.passthrough > 0) expect(mode).not.toBe("cached");
    if (io.cached > 0) expect(mode).not.toMatch(/^passthrough/);
    if (mode.startsWith("passthrough")) expect(registers).toBe(io.backing === undefined);
  });
});

test("no open that is served caches pages of a lower file that says it is empty", () => {
  anyPlan(({ placement, mode, layer }, { saysEmpty }) => {
    if (saysEmpty && placement === "here" && layer === lower) expect(mode).not.toBe("cached");
  });
});

test("an observed open that is served is direct", () => {
  anyPlan(({ requested, placement, mode }) => {
    if (requested === "observe" && placement === "here") expect(mode).toBe("direct");
  });
});

test("a granted open that is mediated says why", () => {
  anyPlan(({ granted, placement, mode, fallback }) => {
    if (placement === "here" && granted) expect(fallback === undefined).toBe(mode === "passthrough");
    if (!granted) expect(fallback).toBeUndefined();
  });
});

test("no open joins a nodeId whose opens are all withheld", () => {
  anyPlan(({ placement }, { io }, { port }) => {
    if (port.separatesOpens && io !== undefined && io.withheld > 0 && io.withheld === io.handles.size) expect(placement).not.toBe("here");
  });
});

test("the kernel is not told to look again a second time, unless the open is tied to a lower file", () => {
  anyPlan(({ placement, layer }, { io, arrival, nameless }) => {
    const isTied = io?.backing !== undefined && io.backing.layer !== layer;
    if ((arrival !== "first" || nameless) && !isTied) expect(placement).toMatch(/^(here|refused)$/);
  });
});

test("a new file is neither copied up nor truncated", () => {
  anyPlan(({ copiesUp, truncates }, { isNew, flags, node }) => {
    expect(truncates).toBe(!isNew && flags === (O.RDWR | O.TRUNC));
    expect(copiesUp).toBe(!isNew && flags !== O.RDONLY && !node.inUpper);
  });
});
