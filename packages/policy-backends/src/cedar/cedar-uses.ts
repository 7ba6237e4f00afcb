/**
 * The facts that a set of Cedar policies can look at, read off the policies themselves: attributes in Cedar are always
 * spelled out. Every mention counts, reached or not, so that the scope of a cached answer is never too wide.
 */

/** Plain values: it goes from the engine's thread to the service. */
export interface CedarUses {
  /** Names of attributes of whatever entity, and keys of records. */
  attributes: string[];
  /** Directories that some policy or entity names: the only ancestors of a file that can matter. */
  directories: string[];
  /** Some group is named, so that the groups of the caller matter. */
  groups: boolean;
  /** The same of each policy by itself. */
  policies: { id: string; forbids: boolean; attributes: string[]; groups: boolean }[];
}

interface Found {
  attributes: Set<string>;
  directories: Set<string>;
  groups: boolean;
}

const nothing = (): Found => ({ attributes: new Set(), directories: new Set(), groups: false });

/** Nobody writes policies so deep; whoever does gets an error instead of an overflow. */
const MAX_DEPTH = 2_000;

function noteEntity(type: unknown, id: unknown, found: Found): void {
  if (type === "Directory" && typeof id === "string") found.directories.add(id);
  if (type === "Group") found.groups = true;
}

function note(key: string, value: unknown, found: Found): void {
  if (key === "attr") for (const name of Array.isArray(value) ? value : [value]) found.attributes.add(String(name));
  if ((key === "entity_type" || key === "is") && value === "Group") found.groups = true;
  // A whole record, or a whole entity, may be compared: by a key of it that is written out.
  if (key === "Record" && typeof value === "object" && value !== null) for (const name of Object.keys(value)) found.attributes.add(name);
}

function walk(node: unknown, found: Found, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error("a policy is nested too deeply: write it flat");
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    for (const each of node) walk(each, found, depth + 1);
    return;
  }
  const { type, id } = node as { type?: unknown; id?: unknown };
  noteEntity(type, id, found);
  for (const [key, value] of Object.entries(node)) {
    note(key, value, found);
    walk(value, found, depth + 1);
  }
}

/** `policies`: id → Cedar's JSON of it. `entities`: those that the configuration adds. */
export function usesOf(policies: ReadonlyMap<string, unknown>, entities: readonly unknown[]): CedarUses {
  const all = nothing();
  for (const entity of entities) walk(entity, all, 0);
  const groupsBelow = all.groups;
  const each = [...policies].map(([id, policy]) => {
    const found = nothing();
    walk(policy, found, 0);
    for (const name of found.attributes) all.attributes.add(name);
    for (const name of found.directories) all.directories.add(name);
    all.groups ||= found.groups;
    const forbids = (policy as { effect?: string }).effect === "forbid";
    // With entities that put groups below something else, a policy that names no group may still ask for one.
    return { id, forbids, attributes: [...found.attributes], groups: found.groups || groupsBelow };
  });
  return { attributes: [...all.attributes], directories: [...all.directories], groups: all.groups, policies: each };
}
