import { S } from "@sluice/vfs";
import { expect, test } from "vitest";
import { ForgottenNodes } from "./forgotten-nodes.js";
import { Node } from "./node.js";

test("of a file with thousands of names a few are remembered, and it is found again by each of them", () => {
  const root = new Node(1, S.IFDIR);
  const node = new Node(2, S.IFREG);
  node.parent = root;
  node.name = "first";
  node.others = Array.from({ length: 5000 }, (_, i) => ({ parent: root, name: `other${i}` }));
  const forgotten = new ForgottenNodes();
  forgotten.remember(node);
  const names = forgotten.get(2)?.names.map(({ name }) => name) ?? [];
  expect(names.length).toBe(32);
  expect(names[0]).toBe("first");
  for (const name of names) {
    expect(forgotten.take(node, root, name)?.id).toBe(2);
    forgotten.remember(node);
  }
  expect(forgotten.take(node, root, "other4999")).toBeUndefined();
});
