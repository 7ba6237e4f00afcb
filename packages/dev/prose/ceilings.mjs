// How many findings each folder may still have, and whether it has more. The numbers only shrink.
/**
 * @typedef {import("./lint.mjs").FolderReport} FolderReport
 * @typedef {Record<string, Record<string, number>>} Ceilings findings allowed by folder and rule; without a number, none
 */

/** @param {Pick<FolderReport, "findings">} report @returns {Record<string, number>} findings by rule */
export function countsOf({ findings }) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const rule of findings.map((finding) => finding.rule).toSorted()) counts[rule] = (counts[rule] ?? 0) + 1;
  return counts;
}

/** @param {Pick<FolderReport, "findings">} report @param {string} [only] a rule @returns {string[]} a line for each finding */
export function linesOf({ findings }, only) {
  return findings
    .filter(({ rule }) => only === undefined || rule === only)
    .map(({ path, line, rule, message }) => `  ${path}:${line}: ${rule}: ${message}`);
}

/**
 * Every finding of each rule and folder that has more than allowed: nobody knows which of them is the new one.
 * @param {readonly FolderReport[]} reports @param {Ceilings} ceilings @returns {string[]}
 */
export function excessOf(reports, ceilings) {
  return reports.flatMap((report) =>
    Object.entries(countsOf(report)).flatMap(([rule, count]) => {
      const allowed = ceilings[report.folder]?.[rule] ?? 0;
      if (count <= allowed) return [];
      return [`${report.folder}: ${rule}: ${count} findings, ${allowed} allowed`, ...linesOf(report, rule)];
    }),
  );
}

/**
 * The numbers of today. Files may have moved between folders, but in all there must not be more findings.
 * @param {readonly FolderReport[]} reports @param {Ceilings} ceilings
 * @returns {{ ceilings: Ceilings } | { complaint: string }}
 */
export function ratchet(reports, ceilings) {
  const dirty = reports.filter(({ findings }) => findings.length > 0);
  const now = Object.fromEntries(dirty.map((report) => [report.folder, countsOf(report)]));
  const [found, allowed] = [sumOf(now), sumOf(ceilings)];
  return found > allowed ? { complaint: `${found} findings in all, ${allowed} allowed: mend some first` } : { ceilings: now };
}

/** @param {Ceilings} ceilings */
function sumOf(ceilings) {
  return Object.values(ceilings)
    .flatMap((rules) => Object.values(rules))
    .reduce((sum, count) => sum + count, 0);
}
