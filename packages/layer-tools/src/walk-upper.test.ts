import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { directory, file, plant, requires, scratch, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { openTree } from "./tree.js";
import { walkUpper } from "./walk-upper.js";

const { test } = requires("CAP_SYS_ADMIN");
const OLD = { mtimeNs: 1_000_000_000n };

test("added, modified, deleted, opaque, metadata, copied, renamed: and nothing for entries that only shine through", () => {
  const root = scratch();
  const at = (name: string): string => {
    const path = join(root, name);
    mkdirSync(path);
    return path;
  };
  const [upper, top, bottom] = [at("upper"), at("top"), at("bottom")];
  plant(bottom, {
    same: file("s", OLD),
    changed: file("old", OLD),
    chmod: file("c", OLD),
    gone: file("g"),
    hidden: file("h"),
    "dir/deep": file("d"),
    "dir/kept": file("k"),
    "whole/inner": file("i"),
    "from/x": file("x", OLD),
    kind: file("k"),
  });
  plant(top, { hidden: whiteout() });
  plant(upper, {
    same: file("s", OLD),
    changed: file("new!", OLD),
    chmod: file("c", { ...OLD, mode: 0o600 }),
    gone: whiteout(),
    hidden: file("h"),
    "new": file("n"),
    "dir/": directory(),
    "dir/deep": whiteout(),
    "whole/": directory({ xattrs: { "trusted.overlay.opaque": "y" } }),
    "whole/fresh": file("f"),
    "to/": directory({ xattrs: { "trusted.overlay.redirect": "/from" } }),
    "to/x": file("x", { ...OLD, mode: 0o600 }),
    from: whiteout(),
    "kind/": directory(),
    nothing: whiteout(),
  });
  const changes = [...walkUpper(openTree(upper, false), [openTree(top, false), openTree(bottom, false)])];
  expect(changes.map(({ kind, path, from }) => `${kind} ${path}${from === undefined ? "" : ` from ${from}`}`)).toEqual([
    "modified changed",
    "metadata chmod",
    "deleted dir/deep",
    "deleted from",
    "deleted gone",
    "added hidden",
    "opaque kind",
    "added new",
    "copied same",
    "added to from /from",
    "metadata to/x",
    "opaque whole",
    "added whole/fresh",
  ]);
});
