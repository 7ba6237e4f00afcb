// Links between the documents: each names a file that exists, and a heading that the file has.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** As GitHub makes anchors of headings, and those that a page sets itself. */
function anchorsOf(text: string): Set<string> {
  const seen = new Map<string, number>();
  const headings = [...withoutCode(text).matchAll(/^#+ +(.+)$/gm)].map(([, title = ""]) => {
    const plain = title.toLowerCase().replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const anchor = plain.replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id)]);
}

function withoutCode(text: string): string {
  return text.replace(/^( *)```[^]*?^\1```$/gm, "").replace(/`[^`\n]*`/g, (code) => code.slice(1, -1).replace(/[[\]()]/g, ""));
}

/** Links of `page` that lead nowhere. */
function brokenLinks(page: string, text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = ""]) => to);
  return links.filter((to) => {
    if (/^[a-z]+:/.test(to)) return false;
    const [path, anchor] = to.split("#") as [string, string?];
    const file = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(root, file))) return true;
    if (anchor === undefined || !file.endsWith(".md")) return false;
    return !anchorsOf(readFileSync(join(root, file), "utf8")).has(anchor);
  });
}

const FOLDERS = [".github", "deploy", "docs", "packages/*", "proto", "services/*", "test"];

/** Every document that is no dependency's. */
function documents(): string[] {
  const folders = FOLDERS.flatMap((folder) => {
    const parent = folder.replace("/*", "");
    return parent === folder ? [folder] : readdirSync(join(root, parent)).map((name) => join(parent, name));
  });
  const below = folders.flatMap((folder) => {
    const recursive = !/^(packages|services)/.test(folder);
    return readdirSync(join(root, folder), { encoding: "utf8", recursive }).map((name) => join(folder, name));
  });
  return [...readdirSync(root), ...below].filter((name) => name.endsWith(".md"));
}

test("every link between documents leads to a file and a heading that exist", () => {
  const pages = documents();
  expect(pages.length).toBeGreaterThan(50);
  const broken = pages.flatMap((page) => brokenLinks(page, readFileSync(join(root, page), "utf8")).map((to) => `${page}: ${to}`));
  expect(broken).toEqual([]);
});

test("a link to a missing file or heading is found", () => {
  expect(anchorsOf("# A b\n## `c`: d\n# A b\n")).toEqual(new Set(["a-b", "c-d", "a-b-1"]));
  expect(brokenLinks("docs/rules.md", "[a](rules.md#subject) [b](#none) [c](missing.md) [d](https://example.org/x)")).toEqual([
    "#none",
    "missing.md",
  ]);
});
