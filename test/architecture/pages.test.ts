// The pages lead to one another: links and named files exist, the index has every page, and README stays one screen to read.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { listFiles } from "../../packages/dev/rules/source-files.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const pages = listFiles(root).filter((path) => path.endsWith(".md"));

/** The anchors that a forge makes of a page's headings. */
function anchorsOf(path: string): string[] {
  const headings = [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}

function brokenLinks(path: string): string[] {
  const prose = read(path)
    .replace(/^```[^]*?^```$/gm, "")
    .replace(/`[^`\n]*`/g, "");
  const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target).filter((target) => !/^\w+:/.test(target));
  return targets.filter((target) => {
    const [file = "", anchor] = target.split("#");
    const page = file === "" ? path : join(dirname(path), file);
    if (!existsSync(join(root, page))) return true;
    return anchor !== undefined && page.endsWith(".md") && !anchorsOf(page).includes(anchor);
  });
}

test.each(pages)("every link of %s leads somewhere", (path) => {
  expect(brokenLinks(path)).toEqual([]);
});

test("docs/README.md names every page of docs/", () => {
  const index = read("docs/README.md");
  const names = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md") && name !== "README.md");
  expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
});

test("every file and folder that ARCHITECTURE.md names exists", () => {
  const named = [...read("ARCHITECTURE.md").matchAll(/`([\w.-]+\/[\w./-]*)`/g)].map(([, path = ""]) => path);
  const ours = named.filter((path) => /\.(ts|mjs|c|json)$|^(packages|services|proto|deploy|test)\//.test(path));
  expect(ours.length).toBeGreaterThan(20);
  expect(ours.filter((path) => !["", "packages", "packages/overlay/src"].some((base) => existsSync(join(root, base, path))))).toEqual([]);
});

describe("README.md", () => {
  const lines = read("README.md").trimEnd().split("\n");

  test("has at most 150 lines of 100 columns", () => {
    expect(lines.length).toBeLessThanOrEqual(150);
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
  });

  test("shows a recording of commands that it also lists", () => {
    const shown = [...read("docs/pictures/session.svg").matchAll(/>\$ ([^<]+)</g)].map(([, command = ""]) => command);
    const listed = lines.map((line) => line.replace(/\s+#.*$/, ""));
    expect(shown.length).toBeGreaterThan(3);
    expect(
      shown.filter((command) => !listed.includes(command)),
      "run: node packages/dev/record.mjs",
    ).toEqual([]);
  });
});
