import { S } from "@sluice/vfs";
import { expect, test } from "vitest";
import { NodeTable } from "./node-table.js";

test("a file with names in several directories keeps each of them, and lets go of all when it goes", () => {
  const released: number[] = [];
  const nodes = new NodeTable((node) => void released.push(node.id), undefined);
  const root = nodes.make(S.IFDIR);
  const directories = ["one", "two", "three"].map((name) => {
    const directory = nodes.make(S.IFDIR);
    nodes.attach(directory, root, name);
    nodes.enter(directory);
    return directory;
  });
  const file = nodes.make(S.IFREG);
  for (const directory of directories) nodes.attach(file, directory, "file");
  nodes.enter(file);
  for (const directory of directories) nodes.forget(directory.id, 1);
  expect(released).toEqual([]);
  nodes.forget(file.id, 1);
  expect(nodes.size).toBe(1);
  expect(new Set(released)).toEqual(new Set([...directories.map(({ id }) => id), file.id]));
});

test("the memory watch hears of nodes that stay: those that are made, and those that are forgotten", () => {
  let heard = 0;
  const nodes = new NodeTable(
    () => undefined,
    undefined,
    () => void heard++,
  );
  const root = nodes.make(S.IFDIR);
  const made = Array.from({ length: 640 }, (_, at) => {
    const node = nodes.make(S.IFREG);
    nodes.attach(node, root, `n${at}`);
    nodes.enter(node);
    return node;
  });
  expect(heard).toBe(10);
  for (const node of made) nodes.forget(node.id, 1);
  expect(heard).toBe(20);
});
