// Plants imports and words that the architecture forbids in a small tree of its own, and expects each to be named with
// its reason; then holds the repository itself to the same rules.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";
import { describe, expect, test } from "vitest";
import { BANS, checkBans } from "../../packages/dev/rules/bans.mjs";
import { BOUNDARIES, checkBoundaries } from "../../packages/dev/rules/boundaries.mjs";
import { checkFolderSizes, MOST_FILES } from "../../packages/dev/rules/folder-sizes.mjs";
import { checkOverlayFloors, FLOORS } from "../../packages/dev/rules/overlay-floors.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

function treeOf(files: Readonly<Record<string, string>>): string {
  const folder = scratch();
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), source);
  }
  return folder;
}

function boundaryViolations(path: string, source: string): string[] {
  const home = path.split("/").slice(0, 2).join("/");
  return checkBoundaries(treeOf({ [`${home}/package.json`]: "{}", [path]: source }));
}

describe("import boundaries", () => {
  test.each([
    ["packages/vfs/src/a.ts", "@sluice/native"],
    ["packages/fuse-protocol/src/a.ts", "@sluice/native"],
    ["packages/fuse-protocol/src/a.ts", "left-pad"],
    ["packages/engine-devfuse/src/a.ts", "@sluice/overlay"],
    ["packages/id-mapping/src/a.ts", "@sluice/overlay"],
    ["packages/overlayfs-cli/src/a.ts", "@sluice/overlay"],
    ["packages/overlay/src/node/a.ts", "@sluice/native"],
    ["packages/overlay/src/layer/a.ts", "@sluice/decision-api"],
    ["packages/decision-api/src/a.ts", "@grpc/grpc-js"],
    ["packages/decision-client/src/a.ts", "@sluice/overlay"],
    ["packages/policy-backends/src/a.ts", "@sluice/vfs"],
    ["packages/runtime/src/a.ts", "@sluice/vfs"],
    ["packages/demo/src/a.ts", "@sluice/service-mount"],
    ["services/mount/src/a.ts", "@sluice/service-decision"],
    ["services/decision/src/a.ts", "@sluice/service-mount"],
    ["services/decision/src/a.ts", "@sluice/overlay"],
    ["packages/vfs/src/a.ts", "../../native/src/index.js"],
    ["packages/vfs/src/a.ts", "@sluice/testkit"],
  ])("%s may not import %s", (path, module) => {
    const violations = boundaryViolations(path, `import { a } from "${module}";\n`);
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain(`${path}:1: `);
    expect(violations[0]).toContain(`why: ${BOUNDARIES[path.split("/").slice(0, 2).join("/")]?.reason}`);
  });

  test.each([
    ["packages/overlay/src/layer/a.ts", "@sluice/native"],
    ["packages/decision-api/src/gen/a.ts", "@grpc/grpc-js"],
    ["packages/overlay/src/node/a.ts", "../merge/b.js"],
    ["packages/overlay/src/node/a.test.ts", "@sluice/testkit"],
    ["services/mount/src/a.ts", "@sluice/overlay"],
    ["packages/vfs/src/a.ts", "node:fs"],
  ])("%s may import %s", (path, module) => {
    expect(boundaryViolations(path, `import { a } from "${module}";\n`)).toEqual([]);
  });

  test.each([
    ["a type", 'import type { A } from "@sluice/native";'],
    ["several lines", 'import {\n  a,\n  type B,\n} from "@sluice/native";'],
    ["a re-export", 'export * from "@sluice/native";'],
    ["named re-exports", 'export { a as b } from "@sluice/native";'],
    ["no names", 'import "@sluice/native";'],
    ["import()", 'const a = await import("@sluice/native");'],
    ["single quotes", "import { a } from '@sluice/native';"],
  ])("sees an import of %s", (_, source) => {
    expect(boundaryViolations("packages/vfs/src/a.ts", `${source}\n`)).toHaveLength(1);
  });

  test.each(['// import { a } from "@sluice/native";', '/* as in import { a } from "@sluice/native" */'])("overlooks %s", (source) => {
    expect(boundaryViolations("packages/vfs/src/a.ts", `${source}\n`)).toEqual([]);
  });

  test("want every package in the table", () => {
    expect(boundaryViolations("packages/newcomer/src/a.ts", 'import "@sluice/vfs";\n')[0]).toContain("no entry in the table");
  });

  test("hold in this repository", () => {
    expect(checkBoundaries(root)).toEqual([]);
  });
});

describe("floors of the overlay", () => {
  const source = (path: string): string => `packages/overlay/src/${path}`;

  function floorViolations(files: Readonly<Record<string, string>>): string[] {
    return checkOverlayFloors(treeOf(Object.fromEntries(Object.entries(files).map(([path, text]) => [source(path), text]))));
  }

  test.each([
    ["node/a.ts", "../merge/b.js"],
    ["layer/a.ts", "../contract/../node/b.js"],
    ["operations/a.ts", "../open/b.js"],
    ["restore/a.ts", "../overlay.js"],
    ["node/a.ts", "../newcomer/b.js"],
  ])("refuse that %s imports %s, even for a type", (path, module) => {
    for (const text of [`import { a } from "${module}";\n`, `import type { A } from "${module}";\n`]) {
      const violations = floorViolations({ [path]: text });
      expect(violations).toHaveLength(1);
      expect(violations[0]).toContain(`${source(path)}:1: may not import`);
    }
  });

  test.each([
    ["merge/a.ts", "../node/b.js"],
    ["node/a.ts", "./b.js"],
    ["overlay.ts", "./restore/b.js"],
    ["node/a.test.ts", "../restore/b.js"],
  ])("let %s import %s", (path, module) => {
    expect(floorViolations({ [path]: `import { a } from "${module}";\n` })).toEqual([]);
  });

  test("refuse a folder that is no floor", () => {
    expect(floorViolations({ "newcomer/a.ts": "export const a = 1;\n" })[0]).toContain("newcomer/ is no floor");
  });

  test("refuse a circle of files, even of types", () => {
    const violations = floorViolations({
      "node/a.ts": 'import type { B } from "./b.js";\n',
      "node/b.ts": 'import type { C } from "./c.js";\n',
      "node/c.ts": 'import type { A } from "./a.js";\n',
      "node/d.ts": 'import type { A } from "./a.js";\n',
    });
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain("node/a.ts → node/b.ts → node/c.ts → node/a.ts");
  });

  test("hold in this repository, for each of its folders", () => {
    expect(checkOverlayFloors(root)).toEqual([]);
    const folders = readdirSync(join(root, source("")), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).sort()).toEqual(FLOORS.map(({ folder }) => folder).sort());
  });
});

describe("folder sizes", () => {
  const folderOf = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`packages/vfs/src/file-${at}.ts`, ""]));

  test("refuse a folder of too many files", () => {
    const violations = checkFolderSizes(treeOf(folderOf(MOST_FILES + 1)));
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain(`packages/vfs/src: ${MOST_FILES + 1} files`);
  });

  test("accept subfolders, pages and generated code", () => {
    const tree = { ...folderOf(MOST_FILES), "packages/vfs/src/a/b.ts": "", "packages/vfs/src/a.md": "", "packages/vfs/src/gen/c.ts": "" };
    expect(checkFolderSizes(treeOf(tree))).toEqual([]);
  });

  test("hold in this repository", () => {
    expect(checkFolderSizes(root)).toEqual([]);
  });
});

describe("bans", () => {
  const OPENING = "// What it is.\n";

  test.each([
    ["vague file name", "packages/vfs/src/utils.ts", OPENING],
    ["vague file name", "packages/vfs/src/string-helpers.ts", OPENING],
    ["vague file name", "services/mount/src/mount-manager.ts", OPENING],
    ["file name that is not kebab-case", "packages/vfs/src/openFlags.ts", OPENING],
    ["no opening comment", "packages/vfs/src/a.ts", "export const a = 1;\n"],
    ["note to self", "packages/vfs/src/a.ts", `${OPENING}// TODO later\n`],
    ["note to self", "packages/native/cc/a.c", `${OPENING}/* FIXME */\n`],
    ["path of one machine", "packages/vfs/src/a.ts", `${OPENING}const a = "/home/me/sluice";\n`],
    ["test that keeps others from running", "packages/vfs/src/a.test.ts", 'test.only("a", () => {});\n'],
    ["skip without a requirement", "packages/vfs/src/a.test.ts", 'describe.skip("a", () => {});\n'],
    ["skip without a requirement", "test/e2e/a.test.ts", 'test.skipIf(true)("a", () => {});\n'],
    ["lint switched off without a reason", "packages/vfs/src/a.ts", `${OPENING}// oxlint-disable-next-line max-params\n`],
    ["lint switched off without a reason", "packages/vfs/src/a.ts", `${OPENING}// @ts-ignore\n`],
    ["permit outside of the judgement", "packages/overlay/src/operations/a.ts", `${OPENING}const permit = issuePermit();\n`],
    ["permit outside of the judgement", "packages/overlay/src/io/a.ts", `${OPENING}const permit = {} as unknown as Permit;\n`],
    ["layer changed without a permit", "packages/overlay/src/operations/a.ts", `${OPENING}upkeep.unlinkat(fd, name, 0);\n`],
    ["file made without a permit", "packages/overlay/src/operations/a.ts", `${OPENING}sys.openat(fd, name, O.CREAT, 0);\n`],
    ["file made without a permit", "packages/overlay/src/open/a.ts", `${OPENING}sys.openat(fd, name, O.CREAT, 0);\n`],
    ["file made without a permit", "packages/overlay/src/handles/a.ts", `${OPENING}sys.openat(fd, name, O.CREAT, 0);\n`],
  ])("%s: %s", (name, path, source) => {
    const violations = checkBans(treeOf({ [path]: source }));
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain(name);
    expect(violations[0]).toContain(`why: ${BANS.find((ban) => ban.name === name)?.reason}`);
  });

  test.each([
    ["packages/vfs/src/open-flags.ts", `${OPENING}// oxlint-disable-next-line max-params -- the kernel's own signature\n`],
    ["packages/vfs/src/a.ts", '#!/usr/bin/env node\n/** What it is. */\nconst a = "home/*/.ssh/**";\n'],
    ["packages/vfs/dist/utils.js", "TODO\n"],
    ["packages/overlay/src/gate/govern.ts", `${OPENING}const permit = issuePermit();\n`],
    ["packages/overlay/src/copy-up/a.ts", `${OPENING}upkeep.unlinkat(fd, name, 0);\n`],
  ])("accept %s", (path, source) => {
    expect(checkBans(treeOf({ [path]: source }))).toEqual([]);
  });

  test("hold in this repository", () => {
    expect(checkBans(root)).toEqual([]);
  });
});
