/**
 * The state of an object in the overlay, read from its layers on the disk by a few rules of the format. They are written down
 * here once more, so that coverage does not depend on the tested code.
 */
import { native } from "@sluice/native";
import { AT, Attr, S } from "@sluice/vfs";

export const STATES = ["lower", "upper", "merged", "whiteout", "opaque", "redirected", "hard-linked", "unlinked-open"] as const;
/** "absent": no layer has the name, nor a mark for it. */
export type State = (typeof STATES)[number] | "absent";

interface LayerPath {
  upper: boolean;
  /** The root of the layer; redirects begin here. */
  root: string;
  path: string;
}

interface Found {
  places: readonly LayerPath[];
  whiteout: boolean;
}

function look(path: string): Attr | undefined {
  const attr = new Attr();
  return native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW, attr.words) < 0 ? undefined : attr;
}

function mark(path: string, name: string): string | undefined {
  const bytes = Buffer.alloc(4096);
  const length = native.getxattrat(AT.FDCWD, path, `trusted.overlay.${name}`, bytes);
  return length < 0 ? undefined : bytes.toString("latin1", 0, length);
}

const isDirectory = (attr: Attr): boolean => (attr.mode & S.IFMT) === S.IFDIR;
const isWhiteout = (attr: Attr): boolean => (attr.mode & S.IFMT) === S.IFCHR && attr.rdev === 0;

/** The places in the layers below that a directory is merged with. */
function redirected(at: LayerPath, below: readonly LayerPath[], name: string): LayerPath[] {
  const to = mark(at.path, "redirect");
  if (to === undefined) return below.map((one) => ({ ...one, path: `${one.path}/${name}` }));
  if (to.startsWith("/")) return below.map((one) => ({ ...one, path: `${one.root}${to}` }));
  return below.map((one) => ({ ...one, path: `${one.path}/${to}` }));
}

/** One name below a merged directory. */
function step(places: readonly LayerPath[], name: string): Found {
  const found: LayerPath[] = [];
  let left = places.map((at) => ({ ...at, path: `${at.path}/${name}` }));
  let parents = [...places];
  for (let at = left[0]; at !== undefined; at = left[0]) {
    left = left.slice(1);
    parents = parents.slice(1);
    const attr = look(at.path);
    if (attr === undefined) continue;
    if (isWhiteout(attr)) return { places: found, whiteout: found.length === 0 && at.upper };
    if (!isDirectory(attr)) return { places: found.length > 0 ? found : [at], whiteout: false };
    found.push(at);
    if (mark(at.path, "opaque") === "y") break;
    if (mark(at.path, "redirect") !== undefined) left = redirected(at, parents, name);
  }
  return { places: found, whiteout: false };
}

/** The roots, undefined if there is none. */
export interface Roots {
  upper: string | undefined;
  lowers: readonly string[];
}

const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "." && part !== "");

function find(layers: Roots, directory: string, parts: readonly string[]): Found {
  const roots = [
    ...(layers.upper === undefined ? [] : [{ root: layers.upper, upper: true }]),
    ...layers.lowers.map((root) => ({ root, upper: false })),
  ];
  let at: Found = { places: roots.map(({ root, upper }) => ({ root, upper, path: `${root}/${directory}` })), whiteout: false };
  for (const name of parts) at = step(at.places, name);
  return at;
}

export function stateOf(layers: Roots, directory: string, path: string): State {
  const at = find(layers, directory, partsOf(path));
  const [top] = at.places;
  if (top === undefined) return at.whiteout ? "whiteout" : "absent";
  return describe(top, at.places.length);
}

/** The largest number of links that the kernel follows. */
const MOST_LINKS = 40;

function targetOf(top: LayerPath | undefined): string | undefined {
  const attr = top === undefined ? undefined : look(top.path);
  if (top === undefined || attr === undefined || (attr.mode & S.IFMT) !== S.IFLNK) return undefined;
  const bytes = Buffer.alloc(4096);
  return bytes.toString("latin1", 0, Math.max(0, native.readlinkat(AT.FDCWD, top.path, bytes)));
}

/**
 * The path with the links on its way resolved, and the last one if `followLast`: by that name an object can be followed through
 * renames.
 */
export function realPath(layers: Roots, directory: string, path: string, followLast: boolean): string {
  let left = partsOf(path);
  let real: string[] = [];
  for (let links = 0; left.length > 0; ) {
    const [name = "", ...rest] = left;
    const target = followLast || rest.length > 0 ? targetOf(find(layers, directory, [...real, name]).places[0]) : undefined;
    if (target !== undefined && links++ < MOST_LINKS) left = [...partsOf(target), ...rest];
    else {
      real = name === ".." ? real.slice(0, -1) : [...real, name];
      left = rest;
    }
  }
  return real.join("/");
}

function describe(top: LayerPath, depth: number): State {
  const attr = look(top.path);
  if (attr === undefined) return "absent";
  if (!isDirectory(attr)) return attr.nlink > 1 ? "hard-linked" : top.upper ? "upper" : "lower";
  if (top.upper && mark(top.path, "redirect") !== undefined) return "redirected";
  if (mark(top.path, "opaque") === "y") return "opaque";
  if (depth > 1) return "merged";
  return top.upper ? "upper" : "lower";
}
