/**
 * Extended attributes of a session and of its directory. The directory is no layer: all its attributes belong to its files. A session hides
 * those whose names look like marks, and stores its own of such names with another "overlay." in them (docs/decisions/0012). So these get
 * their own names back, unless the directory has the stored one.
 */
import { type Hit, isMark, type LayerStack, readXattrs, shownName } from "@sluice/layer-tools";

type Attributes = [name: string, value: Buffer][];

const hasAttributes = (stack: LayerStack, hit: Hit): boolean =>
  hit.listed === undefined || hit.listed.some((name) => !isMark(stack.tree(hit).prefix, name));

const plain = (stack: LayerStack, object: Hit): Map<string, Buffer> => new Map(readXattrs(stack, object, { isPlain: true }));

function named(stack: LayerStack, object: Hit, old: ReadonlyMap<string, Buffer>): Attributes {
  const { prefix } = stack.tree(object);
  return readXattrs(stack, object).map(([name, value]) => [old.has(name) ? name : shownName(prefix, name), value]);
}

/** Whether the session has a copy of an object some of whose attributes it hides. They are none of the copy, and stay those of the object. */
export function hidesSome(stack: LayerStack, object: Hit, before: Hit): boolean {
  const { prefix } = stack.tree(before);
  if (before.listed?.some((name) => isMark(prefix, name)) === false || !stack.isUpper(object)) return false;
  return stack.mark(object, "origin") !== undefined;
}

/** As the directory is to have them. `before`: the object that it has now. */
export function attributesOf(stack: LayerStack, object: Hit, before: Hit | undefined): Attributes {
  if (before === undefined) return named(stack, object, new Map());
  const old = plain(stack, before);
  const now = new Map(named(stack, object, old));
  const hidden = hidesSome(stack, object, before) ? [...old].filter(([name]) => isMark(stack.tree(before).prefix, name)) : [];
  return [...new Map([...hidden, ...now])];
}

export function sameAttributes(stack: LayerStack, before: Hit, after: Hit): boolean {
  if (!hasAttributes(stack, before) && !hasAttributes(stack, after)) return true;
  const old = plain(stack, before);
  const now = new Map(named(stack, after, old));
  for (const [name, value] of now) if (old.get(name)?.equals(value) !== true) return false;
  return [...old.keys()].every((name) => now.has(name) || isMark(stack.tree(before).prefix, name));
}
