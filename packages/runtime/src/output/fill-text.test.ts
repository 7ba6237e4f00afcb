import { expect, it } from "vitest";
import { fillText } from "./fill-text.js";

it("fills a paragraph with a line beyond the width", () => {
  expect(fillText("\none two three\nfour five\n\nsix\n", 9)).toBe("\none two\nthree\nfour five\n\nsix\n");
});

it("leaves indented lines and paragraphs that fit as they are", () => {
  const text = "Examples:\n  sluice mount --lower /srv/base /mnt/view\n\nshort\nlines\n";
  expect(fillText(text, 12)).toBe(text);
});

it("gives a word beyond the width a line of its own", () => {
  expect(fillText("see docs/overlay-options.md for all", 10)).toBe("see\ndocs/overlay-options.md\nfor all");
});
