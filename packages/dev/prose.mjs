// `npm run check -- prose`: holds what people read to the rules of prose/style.mjs. A folder may have as many findings as
// prose/ceilings.json still allows it; one more fails.
//
//   node packages/dev/prose.mjs                     the check
//   node packages/dev/prose.mjs --summary [FOLDER]  counts by folder; for a folder or a file, every finding in it
//   node packages/dev/prose.mjs --ratchet           writes the numbers of today, if there are no more than before
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { root } from "./build.mjs";
import { countsOf, excessOf, linesOf, ratchet } from "./prose/ceilings.mjs";
import { lintFolders, proseFiles } from "./prose/lint.mjs";

/** @typedef {import("./prose/lint.mjs").FolderReport} FolderReport */

const CEILINGS = fileURLToPath(new URL("prose/ceilings.json", import.meta.url));
const REMEDY = "If files moved to another folder: node packages/dev/prose.mjs --ratchet";

/** @param {readonly FolderReport[]} reports @returns {string[]} a line for each folder, and one for all */
function summaryOf(reports) {
  const sum = reports.reduce((count, { words }) => count + words, 0);
  const everything = { folder: "everything", words: sum, findings: reports.flatMap(({ findings }) => findings) };
  return [...reports, everything].map((report) => {
    const counts = countsOf(report);
    const perThousand = ((counts["headless"] ?? 0) * 1000) / Math.max(report.words, 1);
    const all = Object.entries(counts).map(([rule, count]) => `${rule} ${count}`);
    const measure = `${String(report.words).padStart(7)} words ${perThousand.toFixed(2).padStart(6)} headless in 1,000`;
    return `${report.folder.padEnd(28)}${measure}   ${all.join(", ") || "clean"}`;
  });
}

/** @param {readonly string[]} argv @returns {Promise<{ lines: string[], failed: boolean }>} */
async function main([mode, below]) {
  const reports = await lintFolders(root, proseFiles(root, below));
  if (mode === "--summary") {
    const findings = below ? reports.flatMap((report) => linesOf(report)) : [];
    return { lines: [...findings, ...summaryOf(reports)], failed: false };
  }
  const ceilings = JSON.parse(readFileSync(CEILINGS, "utf8"));
  if (mode === "--ratchet") {
    const outcome = ratchet(reports, ceilings);
    if ("complaint" in outcome) return { lines: [outcome.complaint], failed: true };
    writeFileSync(CEILINGS, `${JSON.stringify(outcome.ceilings, null, 2)}\n`);
    return { lines: [], failed: false };
  }
  const excess = excessOf(reports, ceilings);
  return { lines: excess.length > 0 ? [...excess, REMEDY] : [], failed: excess.length > 0 };
}

const { lines, failed } = await main(process.argv.slice(2));
if (lines.length > 0) console.log(lines.join("\n"));
process.exitCode = failed ? 1 : 0;
