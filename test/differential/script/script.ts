/**
 * A whole run as text that can be saved and replayed: the mount options, the contents of the layers, and the calls in order.
 */
import type { Entry } from "../../conformance/tree/tree.js";
import { formatOperation, type Operation, parseOperation } from "./operation.js";

/**
 * How opens are decided: "mixed" by the caller, "named" by the object's name; "portable" is the engine
 * fuse-native.
 */
export type Mode = "unruled" | "granted" | "mediated" | "mixed" | "named" | "portable";
/**
 * The file systems of the layers. "split": each lower on a tmpfs, the upper on an ext4 of its own; "small": the upper on a
 * small ext4.
 */
export type LayerStorage = "disk" | "split" | "small";

export interface Setting {
  mode: Mode;
  ground: LayerStorage;
  /** The number of lower layers, 1 to 3. */
  lowers: number;
  /** Without an upper layer. */
  readOnly: boolean;
  /** The kernel drops cached names and inodes after each call. */
  forgetful: boolean;
  /** Hard links outlive copy-up. */
  index: boolean;
  /** A change of attributes copies a file without its data (metacopy=on); off if omitted. */
  metacopy?: boolean;
}

export type LayerName = "upper" | `lower${number}`;

/** One object in one layer; directories above it are implied. lower0 is the top. */
export interface Plant {
  layer: LayerName;
  path: string;
  entry: Entry;
}

export interface Sequence {
  plants: readonly Plant[];
  operations: readonly Operation[];
}

export interface Script {
  setting: Setting;
  sequence: Sequence;
}

export function formatScript({ setting, sequence }: Script, remarks: readonly string[] = []): string {
  const lines = remarks.map((remark) => `# ${remark}`);
  lines.push(`set ${JSON.stringify(setting)}`);
  lines.push(...sequence.plants.map(({ layer, path, entry }) => `plant ${layer} ${JSON.stringify(path)} ${JSON.stringify(entry)}`));
  lines.push(...sequence.operations.map(formatOperation));
  return `${lines.join("\n")}\n`;
}

function parsePlant(line: string): Plant {
  const [, layer = "", path = "", entry = ""] = /^plant (\w+) ("(?:[^"\\]|\\.)*") (.*)$/.exec(line) ?? [];
  return { layer: layer as LayerName, path: JSON.parse(path) as string, entry: JSON.parse(entry) as Entry };
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** Plants and calls alone. @throws Error if a line is neither */
export function parseSequence(text: string): Sequence {
  const lines = linesOf(text);
  const plants = lines.filter((line) => line.startsWith("plant ")).map(parsePlant);
  return { plants, operations: lines.filter((line) => !/^(set|plant) /.test(line)).map(parseOperation) };
}

/** @throws Error if a line is neither, or there is no setting */
export function parseScript(text: string): Script {
  const set = linesOf(text).find((line) => line.startsWith("set "));
  if (set === undefined) throw new Error('a script needs a line "set {...}": see test/differential/README.md');
  return { setting: JSON.parse(set.slice(4)) as Setting, sequence: parseSequence(text) };
}
