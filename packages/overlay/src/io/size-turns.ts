/**
 * Changes of a file's size by opens that have a limit of it, one after the other. An append goes where the file ends, so no other one of
 * them may make the file longer between the look at its end and its bytes. An open without a limit waits for nobody: it may make the file
 * longer than the limit anyway.
 */
import type { Node } from "../node/node.js";

/** The last change of each file that is under way or waits. */
const turns = new WeakMap<Node, Promise<unknown>>();

export function inTurn<Result>(node: Node, change: () => Promise<Result>): Promise<Result> {
  const turn = (turns.get(node) ?? Promise.resolve()).then(change, change);
  turns.set(node, turn);
  return turn;
}

/** A turn that its owner ends. It must wait for nobody meanwhile. */
export interface OwnTurn {
  readonly begun: Promise<void>;
  end(): void;
}

export function takeTurn(node: Node): OwnTurn {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const begun = new Promise<void>((resolve) => {
    void inTurn(node, () => {
      resolve();
      return ended;
    });
  });
  return { begun, end };
}
