import { expect, test } from "vitest";
import { commonAncestor } from "./open-layers.js";

test("the deepest directory above both", () => {
  expect(commonAncestor("/srv/a/upper", "/srv/a/work")).toBe("/srv/a");
  expect(commonAncestor("/srv/upper", "/srv/upper2")).toBe("/srv");
  expect(commonAncestor("/upper", "/work")).toBe("/");
  expect(commonAncestor("/srv/a", "/srv/a/b")).toBe("/srv/a");
});
