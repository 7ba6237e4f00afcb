/**
 * Walks of trees as generators that do not nest: a directory's generator gives those of its subdirectories to be run in its
 * place, so that the depth of a tree, which its owner chooses, needs no stack.
 */

/** Runs to its end before the generator that gave it goes on. */
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
