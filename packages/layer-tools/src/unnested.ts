/**
 * Walks trees by generators that do not nest: the generator of a directory yields those of its subdirectories, which then run in its place.
 * So the depth of a tree, which its owner chooses, needs no stack.
 */

/** Runs to its end before the generator that yielded it continues. */
export class Deeper<T> {
  constructor(readonly items: Iterator<T | Deeper<T>>) {}
}

export function* unnested<T>(first: Iterator<T | Deeper<T>>): Generator<T, void, undefined> {
  const open = [first];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const { done, value } = top.next();
    if (done === true) open.pop();
    else if (value instanceof Deeper) open.push(value.items);
    else yield value;
  }
}
