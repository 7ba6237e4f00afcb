// The largest number of code files in one folder. Pages and data are not counted: their readers come by a table of contents.
import { dirname } from "node:path";
import { listFiles } from "./source-files.mjs";

export const MOST_FILES = 25;

const CODE = /\.(ts|mts|mjs|c|h|cc)$/;
const REASON = "a reader takes in a list of some 25 names; a longer one needs folders whose names they would guess";

/**
 * @param {string} root
 * @returns {string[]} one line a violation
 */
export function checkFolderSizes(root) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const path of listFiles(root)) {
    if (CODE.test(path)) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  }
  const large = [...counts].filter(([, count]) => count > MOST_FILES);
  return large.map(([folder, count]) => `${folder}: ${count} files of code, at most ${MOST_FILES}\n    why: ${REASON}`);
}
