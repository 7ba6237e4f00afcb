/** The opens at which the kernel may retain cached pages, and at which not yet. */
import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S } from "@sluice/vfs";
import { afterAll, expect, test } from "vitest";
import { Node } from "../node/node.js";
import { OpenFile } from "../handles/handle-table.js";
import { InodeIo } from "../node/inode-io.js";
import { mayCachePages, pagesDropped, pagesWritten } from "./cached-pages.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-cached-pages-"));
const path = join(directory, "f");
writeFileSync(path, "content");
const fd = openSync(path, "r");
afterAll(() => {
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

function opens(): () => OpenFile {
  const node = new Node(2, S.IFREG);
  const io = new InodeIo();
  let handle = 0;
  return () => {
    const file = new OpenFile(++handle, node, node.id, io);
    file.fd = fd;
    return file;
  };
}

test("pages may stay only after an open that drops them has shown that it is through", () => {
  const open = opens();
  const [first, second] = [open(), open()];
  expect(mayCachePages(first)).toBe(false);
  // The kernel may not have dropped anything yet.
  expect(mayCachePages(second)).toBe(false);
  pagesDropped(second);
  expect(mayCachePages(open())).toBe(true);
  appendFileSync(path, "more");
  const third = open();
  expect(mayCachePages(third)).toBe(false);
  // By one that dropped what was there before the change.
  pagesDropped(first);
  expect(mayCachePages(open())).toBe(false);
  pagesDropped(third);
  expect(mayCachePages(open())).toBe(true);
});

test("a writer's last close vouches for its writes, if nobody else wrote past the pages", () => {
  const open = opens();
  for (const past of [false, true]) {
    const writer = open();
    expect(mayCachePages(writer)).toBe(false);
    pagesDropped(writer);
    appendFileSync(path, "more");
    if (past) writer.io.pagesOf = undefined;
    pagesWritten(writer);
    expect(mayCachePages(open())).toBe(!past);
    writer.io.pagesOf = undefined;
  }
});
