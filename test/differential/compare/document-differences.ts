/** docs/differences.md, made of the tables that the tests go by. */
import { differences as conformanceDifferences } from "../../conformance/differences.js";
import { impossibleReasons } from "../coverage/impossible-cells.js";
import { intendedDifferences } from "./intended-differences.js";
import { suiteDifferences } from "./suite-differences.js";

const HEAD = `# Where Sluice differs from the kernel's overlayfs, and why

Made from the tables that the tests go by; a test holds both together. To write it anew after a change of a table:
\`SLUICE_WRITE_DOCS=1 npm test -- test/differential/documented-differences.test.ts\`. What is not listed here is the same, and
where it is not, that is a bug.
`;
const NOT_DRAWN = `## What the random runs leave out

| left out | why |
|---|---|
| \`FALLOC_FL_COLLAPSE_RANGE\`, \`FALLOC_FL_INSERT_RANGE\` | FUSE refuses them before it asks the daemon; a conformance case shows it |
| \`O_DIRECT\` | what must be aligned, and to what, is the file system's below |
| whiteouts in directories that are not merged | nobody makes them, and the kernel lists them as names that are not there |
| order of a listing, access and change times, sizes of directories, block counts | not the same on two runs of one implementation |
`;

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

function conformanceRows(): string[][] {
  const seen = new Map<string, string[]>();
  for (const { case: name, on, reason } of conformanceDifferences) seen.set(`${name} ${reason}`, [name, on?.join(", ") ?? "all", reason]);
  return [...seen.values()];
}

export function differencesDocument(): string {
  const random = intendedDifferences.map(({ name, modes, reason }) => [name, modes.length === 6 ? "all" : modes.join(", "), reason]);
  const impossible = impossibleReasons().map(({ rows, states, reason }) => [rows.join(", "), states.join(", "), reason]);
  return [
    HEAD,
    "## Seen by random sequences of calls (test/differential)\n",
    `${table(["difference", "modes", "reason"], random)}\n`,
    "## Seen by the conformance suite (test/conformance)\n",
    `${table(["rule", "modes", "reason"], conformanceRows())}\n`,
    "## Seen by the public suites (xfstests)\n",
    `${table(
      ["tests", "difference", "reason"],
      suiteDifferences.map(({ tests, difference, reason }) => [tests, difference, reason]),
    )}\n`,
    NOT_DRAWN,
    "## Cells of the coverage table that nothing can fill\n",
    `${table(["calls", "states", "reason"], impossible)}\n`,
  ].join("\n");
}
