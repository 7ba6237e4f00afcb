/**
 * Every cell of the table of I/O modes, on a real mount: the opens of a file, the mode that one more open requests and gets,
 * and the effects. docs/io-modes.md shows the table that this test observed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  Actor,
  type Grant,
  grantsOf,
  layers,
  mountSluice,
  mountsShareProcess,
  type PlainStat,
  publicFile,
  requires,
  type SluiceMount,
  statusOf,
  treeHash,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const DOC = fileURLToPath(new URL("../../docs/io-modes.md", import.meta.url));
const BEGIN = "<!-- table: written by test/passthrough/mode-table.test.ts with SLUICE_WRITE_DOCS=1 -->";
const END = "<!-- end of table -->";

const UIDS = { grant: 0, mediate: 2001, observe: 2002 } as const;
const sharedPolicy = `
version: 1
default: grant
rules:
  - { name: mediated, subject: { uid: [${UIDS.mediate}] }, effect: mediate }
  - { name: observed, subject: { uid: [${UIDS.observe}] }, effect: mediate, obligations: { audit: each-io } }
`;

const OPEN_NOW = ["nothing", "cached", "direct", "passthrough, reading", "passthrough, writing", "mapped after close"] as const;
const REQUESTED = ["grant", "mediate", "observe"] as const;
type OpenNow = (typeof OPEN_NOW)[number];
type RequestedMode = (typeof REQUESTED)[number];

const OLD = "old content";
const NODE = "another node";
const free = { grant: "passthrough", mediate: "cached", observe: "direct" } as const;
const passing = { grant: "passthrough", mediate: "passthrough-direct", observe: `direct, ${NODE}` } as const;
const cached = { grant: "cached (inode-cached)", mediate: "cached", observe: `direct, ${NODE}` } as const;
/** An open never joins the node of earlier opens. */
const apart = { grant: `passthrough, ${NODE}`, mediate: `cached, ${NODE}`, observe: `direct, ${NODE}` } as const;

/** The expected result for a file of an upper layer, opened for reading or writing. */
const EXPECTED: Record<OpenNow, Record<RequestedMode, string>> = {
  nothing: free,
  cached,
  direct: apart,
  "passthrough, reading": passing,
  "passthrough, writing": passing,
  "mapped after close": free,
};

interface Cell {
  layer: "upper" | "lower";
  openNow: OpenNow;
  requested: RequestedMode;
  write: boolean;
  name: string;
  expected: string;
}

function cellsOf(layer: Cell["layer"]): Cell[] {
  return OPEN_NOW.flatMap((openNow) =>
    REQUESTED.flatMap((requested) =>
      [false, true].map((write) => {
        const parts = layer === "lower" && openNow === "passthrough, reading" && write;
        // A writer copies a lower file up, and the readers of the lower file keep their node.
        const expected = (parts ? apart : EXPECTED[openNow])[requested];
        return { layer, openNow, requested, write, expected, name: `${openNow} ${requested} ${write}`.replaceAll(/[ ,]+/g, "-") };
      }),
    ),
  );
}

type Cast = Record<RequestedMode, Actor>;

/** Brings the file into its state; returns the actor and descriptor that keep it there, if any. */
async function bring(cast: Cast, path: string, openNow: OpenNow): Promise<{ actor: Actor; fd: number } | undefined> {
  const by = async (requested: RequestedMode, flags: number): Promise<{ actor: Actor; fd: number }> => {
    const fd = await cast[requested].do("open", path, flags);
    expect(fd, `${path}: ${openNow}`).toBeGreaterThan(0);
    return { actor: cast[requested], fd };
  };
  switch (openNow) {
    case "nothing":
      return undefined;
    case "cached":
      return by("mediate", O.RDONLY);
    case "direct":
      return by("observe", O.RDONLY);
    case "passthrough, reading":
      return by("grant", O.RDONLY);
    case "passthrough, writing":
      return by("grant", O.RDWR);
    case "mapped after close": {
      const { actor, fd } = await by("grant", O.RDWR);
      expect(await actor.do("map", fd, OLD.length, true)).toBeGreaterThan(0);
      await actor.do("close", fd);
      return undefined;
    }
  }
}

interface Played {
  cell: Cell;
  fd: number;
  held: { actor: Actor; fd: number } | undefined;
  wrong: string[];
}

async function play(mount: SluiceMount, cast: Cast, cell: Cell): Promise<Played> {
  const path = mount.path(cell.name);
  const wrong: string[] = [];
  const held = await bring(cast, path, cell.openNow);
  const ino = ((await cast.grant.do("stat", path)) as unknown as PlainStat).ino;
  const actor = cast[cell.requested];
  const fd = await actor.do("open", path, cell.write ? O.RDWR : O.RDONLY);
  if (fd < 0) return { cell, fd, held, wrong: [`open gave ${fd}`] };
  const stat = (await actor.do("fstat", fd)) as unknown as PlainStat;
  if (stat.ino !== ino) wrong.push(`inode number ${stat.ino}, not ${ino}`);
  let content = OLD;
  if (cell.write) {
    if ((await actor.do("write", fd, "N", 0)) !== 1) wrong.push("write failed");
    content = `N${content.slice(1)}`;
    const again = ((await cast.mediate.do("stat", path)) as unknown as PlainStat).mtime;
    const own = ((await actor.do("fstat", fd)) as unknown as PlainStat).mtime;
    if (again !== own) wrong.push(`mtime ${own} by descriptor, ${again} by path`);
  }
  if (held !== undefined && cell.openNow.endsWith("writing")) {
    await held.actor.do("write", held.fd, "H", 1);
    content = `${content[0]}H${content.slice(2)}`;
  }
  const seen = await actor.do<string | number>("read", fd, 32, 0);
  if (seen !== content) wrong.push(`read ${seen}, not ${content}`);
  const stale = cell.expected.endsWith(NODE) && cell.layer === "lower" && cell.openNow === "passthrough, reading" && cell.write;
  if (held !== undefined) {
    const before = await held.actor.do<string | number>("read", held.fd, 32, 0);
    if (before !== (stale ? OLD : content)) wrong.push(`who had it open read ${before}`);
  }
  const map = await actor.do("map", fd, OLD.length, cell.write);
  if (cell.expected.startsWith("direct") ? map !== -Errno.ENODEV : map < 0) wrong.push(`mmap shared gave ${map}`);
  return { cell, fd, held, wrong };
}

type Told = Grant & { io: string; nodeId: number };

/** The result in the words of EXPECTED; the newest open of the file is the cell's. */
function outcome(cell: Cell, grants: Told[]): string {
  const of = grants.filter((grant) => grant.path === cell.name);
  const last = of.at(-1);
  if (last === undefined) return "not open";
  const apart = of.length > 1 && of.some(({ nodeId }) => nodeId !== last.nodeId);
  return `${last.io}${last.fallback === null ? "" : ` (${last.fallback})`}${apart ? `, ${NODE}` : ""}`;
}

function tableOf(cells: readonly { cell: Cell; got: string }[]): string {
  const lines: string[] = [];
  for (const layer of ["upper", "lower"] as const) {
    const head = REQUESTED.flatMap((requested) => [`${requested}, read`, `${requested}, write`]);
    lines.push("", layer === "upper" ? "Files of the upper layer:" : "Files of a lower layer:", "");
    lines.push(`| open now | ${head.join(" | ")} |`, `|---|${head.map(() => "---|").join("")}`);
    for (const openNow of OPEN_NOW) {
      const row = REQUESTED.flatMap((requested) =>
        [false, true].map(
          (write) =>
            cells.find(
              ({ cell }) => cell.layer === layer && cell.openNow === openNow && cell.requested === requested && cell.write === write,
            )?.got,
        ),
      );
      lines.push(`| ${openNow} | ${row.join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n\n`;
}

test("every cell of the table shows the expected mode", async () => {
  const seen: { cell: Cell; got: string }[] = [];
  const wrong: string[] = [];
  for (const layer of ["upper", "lower"] as const) {
    const cells = cellsOf(layer);
    const made = layers({ [layer]: Object.fromEntries(cells.map(({ name }) => [name, publicFile(OLD)])) });
    const before = treeHash(made.lower);
    const mount = await mountSluice({ lowers: [made.lower], upper: made.upper, sharedPolicy });
    const cast = { grant: await Actor.start(), mediate: await Actor.start(UIDS.mediate), observe: await Actor.start(UIDS.observe) };
    const played: Played[] = [];
    for (const cell of cells) played.push(await play(mount, cast, cell));
    const grants = (await grantsOf(mount)) as Told[];
    for (const { cell, wrong: said } of played) {
      const got = outcome(cell, grants);
      seen.push({ cell, got });
      if (got !== cell.expected) said.push(`came to ${got}, not ${cell.expected}`);
      wrong.push(...said.map((what) => `${layer} ${cell.name}: ${what}`));
    }
    expect(await statusOf(mount)).toMatchObject({ anomalies: 0 });
    for (const actor of Object.values(cast)) await actor.stop();
    expect((await mount.stop()).code).toBe(0);
    expect(treeHash(made.lower)).toBe(before);
  }
  expect(wrong).toEqual([]);
  const doc = readFileSync(DOC, "utf8");
  const [head = "", rest = ""] = doc.split(BEGIN);
  const [shown = "", tail = ""] = rest.split(END);
  if (process.env["SLUICE_WRITE_DOCS"] === "1") writeFileSync(DOC, `${head}${BEGIN}\n${tableOf(seen)}${END}${tail}`);
  else expect(shown.trim()).toBe(tableOf(seen).trim());
}, 240_000);

test("refuses a mediated open of a passthrough file without a name, and never with EIO or ESTALE", async () => {
  const { lower, upper } = layers({ upper: { f: publicFile(OLD) } });
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy });
  const [granted, observed] = [await Actor.start(), await Actor.start(UIDS.observe)];
  const path = mount.path("f");
  const own = await observed.do("open", path, O.PATH);
  const fd = await granted.do("open", path, O.RDWR);
  expect(await observed.do("open", `/proc/self/fd/${own}`, O.RDONLY)).toBe(-Errno.EACCES);
  const apart = await observed.do("open", path, O.RDONLY);
  expect(apart).toBeGreaterThan(0);
  // The opposite case: a grant by a descriptor of the passthrough node.
  expect(await observed.do("open", `/proc/self/fd/${apart}`, O.RDWR)).toBeGreaterThan(0);
  expect(await granted.do("write", fd, "NEW", 0)).toBe(3);
  expect(await observed.do("read", apart, 32, 0)).toBe("NEW content");
  await granted.stop();
  await observed.stop();
  await mount.stop();
});

test("many actors that take turns at one file, granted, mediated and observed, never see an error", async () => {
  const { lower, upper } = layers({ lower: { f: publicFile(OLD) } });
  const before = treeHash(lower);
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy });
  const actors = [
    await Actor.start(),
    await Actor.start(UIDS.mediate),
    await Actor.start(UIDS.observe),
    await Actor.start(UIDS.observe),
    await Actor.start(),
  ];
  const flags = [O.RDONLY, O.RDONLY, O.RDONLY, O.RDWR, O.RDWR];
  const counts = await Promise.all(
    actors.map((actor, i) => actor.do<Record<string, Record<string, number>>>("storm", [mount.path("f")], flags[i], 3_000)),
  );
  for (const count of counts) expect(Object.keys(count[mount.path("f")] as object)).toEqual(["opened"]);
  expect(treeHash(lower)).toBe(before);
  for (const actor of actors) await actor.stop();
  // The kernel waits for no answer to RELEASE.
  await expect.poll(async () => (await statusOf(mount)).grants).toBe(0);
  expect((await statusOf(mount)).anomalies).toBe(0);
  await mount.stop();
});
