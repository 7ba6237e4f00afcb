// The floors of packages/overlay/src, as data, and the check that holds its imports to them.
import { dirname, join, normalize } from "node:path";
import { importsOf, listFiles } from "./source-files.mjs";

/**
 * The folders, lowest first. A folder imports itself and the floors below it, types included. Files that lie in src itself put
 * the floors together: they import any, and no floor imports them.
 * @type {readonly { folder: string, holds: string }[]}
 */
export const FLOORS = [
  { folder: "contract", holds: "what the overlay asks of whoever makes it: configuration, the gate, events, what outlives the process" },
  { folder: "layer", holds: "the host: system calls, layers, descriptors of directories" },
  { folder: "marks", holds: "the marks of overlayfs in extended attributes, and whiteouts" },
  { folder: "node", holds: "inodes of the merged tree, their names and their objects in the layers" },
  { folder: "merge", holds: "look-up and listing of what several layers make up" },
  { folder: "handles", holds: "open file descriptions and registered backing files" },
  { folder: "locks", holds: "POSIX and flock locks" },
  { folder: "journal", holds: "what is written down for a process to come" },
  { folder: "gate", holds: "the judgement that every change passes" },
  { folder: "copy-up", holds: "objects come into the upper layer" },
  { folder: "io", holds: "reads, writes and closes of open files" },
  { folder: "operations", holds: "calls on names, attributes and directories" },
  { folder: "open", holds: "OPEN and CREATE" },
  { folder: "restore", holds: "a process takes over what the one before wrote down" },
];

const REASON = "a floor that imported an upper one could not be read, tested or changed without it; the order is in overlay-floors.mjs";
const CIRCLE = "files that import each other, if only for types, can only be understood together";
const HOME = "packages/overlay/src";
const TEST_FILE = /\.test\.ts$|(^|\/)testing\//;

/** @param {string} file relative to HOME; "" for a file that lies in it */
const folderOf = (file) => (file.includes("/") ? (file.split("/")[0] ?? "") : "");
/** @param {string} folder */
const floorOf = (folder) => (folder === "" ? FLOORS.length : FLOORS.findIndex((floor) => floor.folder === folder));

/**
 * @param {string} root
 * @returns {string[]} one line a violation
 */
export function checkOverlayFloors(root) {
  const files = listFiles(root, HOME).filter((file) => file.endsWith(".ts") && !TEST_FILE.test(file));
  /** @type {Map<string, { target: string, line: number }[]>} */
  const imports = new Map(files.map((file) => [file.slice(HOME.length + 1), localImports(root, file)]));
  return [...upwardImports(imports), ...circles(imports)];
}

/** @param {string} root @param {string} file */
function localImports(root, file) {
  return importsOf(root, file)
    .filter(({ module }) => module.startsWith("."))
    .map(({ module, line }) => {
      const target = normalize(join(dirname(file), module)).replace(/\.js$/, ".ts");
      return { target: target.slice(HOME.length + 1), line };
    });
}

/** @param {ReadonlyMap<string, { target: string, line: number }[]>} imports */
function upwardImports(imports) {
  return [...imports].flatMap(([file, found]) => {
    const floor = floorOf(folderOf(file));
    if (floor < 0) return [`${HOME}/${file}:1: ${folderOf(file)}/ is no floor\n    why: ${REASON}`];
    return found.flatMap(({ target, line }) => {
      const above = folderOf(target) !== folderOf(file) && !isBelow(folderOf(target), floor);
      return above ? [`${HOME}/${file}:${line}: may not import ${target}\n    why: ${REASON}`] : [];
    });
  });
}

/** @param {string} folder @param {number} floor */
function isBelow(folder, floor) {
  const other = floorOf(folder);
  return other >= 0 && other < floor;
}

/** @param {ReadonlyMap<string, { target: string }[]>} imports */
function circles(imports) {
  /** @type {Map<string, "open" | "done">} */
  const seen = new Map();
  /** @type {string[]} */
  const found = [];
  /** @param {readonly string[]} path */
  const visit = (path) => {
    const file = path[path.length - 1] ?? "";
    if (seen.get(file) === "done") return;
    if (seen.get(file) === "open") {
      found.push(`${HOME}/${file}:1: imports itself: ${path.slice(path.indexOf(file)).join(" → ")}\n    why: ${CIRCLE}`);
      return;
    }
    seen.set(file, "open");
    for (const { target } of imports.get(file) ?? []) visit([...path, target]);
    seen.set(file, "done");
  };
  for (const file of imports.keys()) visit([file]);
  return found;
}
