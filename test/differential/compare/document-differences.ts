/** Generates docs/differences.md from the tables that the tests use. */
import { differences as conformanceDifferences } from "../../conformance/differences.js";
import { impossibleReasons } from "../coverage/impossible-cells.js";
import { intendedDifferences } from "./intended-differences.js";
import { suiteDifferences } from "./suite-differences.js";

const HEAD = `# Where Sluice differs from the kernel's overlayfs, and why

To learn if a program that relies on overlayfs behaves differently on Sluice, look for the call
here. Any difference that this page does not list is a bug.

The page is generated from the tables that the tests use. After a change of a table, run
\`SLUICE_WRITE_DOCS=1 npm test -- test/differential/documented-differences.test.ts\`.
`;
const NOT_DRAWN = `## Calls that the random runs leave out

| left out | why |
|---|---|
| \`FALLOC_FL_COLLAPSE_RANGE\`, \`FALLOC_FL_INSERT_RANGE\`, \`FALLOC_FL_UNSHARE_RANGE\` | FUSE refuses them before it asks the daemon; a conformance case tests the first two |
| \`O_DIRECT\` | the file system below decides the alignment; a mediated file takes requests of any alignment |
| the alignment that statx(2) shows for direct I/O (\`STATX_DIOALIGN\`) | FUSE transfers none, and the kernel leaves it out |
| positions beyond the largest file of the file system below | lseek(2) accepts them, because the kernel seeks in a FUSE file itself; truncations and writes there are EFBIG on both |
| \`FIGETBSZ\`, \`FIBMAP\`, \`FIOQSIZE\` | the kernel answers them itself: for a FUSE file by its block size, 0, and its size; for one of overlayfs by EINVAL, EINVAL, and 0 |
| a write to a lower file whose owner has no id in an idmapped mount of the layer | the kernel knows that from the inode (EACCES); the mount learns it at the copy-up (EOVERFLOW) |
| birth times | those of the copy after a copy-up on both; the mount may show the former one until the kernel asks for the attributes again |
| copies whose attributes leave no room for the mark of their origin | the kernel refuses the copy-up (ENOSPC); the mount copies, and the file has another inode number from the next mount on |
| whiteouts in directories that are not merged | nobody makes them, and the kernel lists them as names that do not exist |
| writes to a full disk right after a removal | FUSE tells the daemon some milliseconds after unlink(2) that nobody uses the file any more. Until then it takes space, so a write may get ENOSPC; repeat it |
| mounts with \`index=on\` over a layer without file handles, such as another overlay | the kernel logs a line and mounts without an index; Sluice refuses, so that nobody relies on an index that is not there |
| order of a listing, access and change times, sizes of directories, block counts | differ between two runs of one implementation |
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
    "## Found by random sequences of calls (test/differential)\n",
    `${table(["difference", "modes", "reason"], random)}\n`,
    "## Found by the conformance suite (test/conformance)\n",
    `${table(["rule", "modes", "reason"], conformanceRows())}\n`,
    "## Found by the public suites (xfstests)\n",
    `${table(
      ["tests", "difference", "reason"],
      suiteDifferences.map(({ tests, difference, reason }) => [tests, difference, reason]),
    )}\n`,
    NOT_DRAWN,
    "## Cells of the coverage table that stay empty\n",
    `${table(["calls", "states", "reason"], impossible)}\n`,
  ].join("\n");
}
