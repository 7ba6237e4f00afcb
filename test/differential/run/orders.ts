/** Obeys the orders of a side for one of its callers, in the process that has the caller's ids, umask and descriptors. */
import { check, native } from "@sluice/native";
import { type Actor, ACTORS, type Operation } from "../script/operation.js";
import { Performer } from "./performer.js";

/** The sequence's directory, and the call; a message without a call closes all descriptors of the sequence before. */
export interface Order {
  root: string;
  operation?: Operation;
}

const UMASK = 0o022;

export class Orders {
  #performer = new Performer("");

  /** Gives the process the caller's identity. */
  constructor(name: Actor) {
    const { uid, gid, groups } = ACTORS[name];
    check(native.becomeUser(uid, gid, groups), `become ${name}`);
    process.umask(UMASK);
  }

  async order({ root, operation }: Order): Promise<unknown[]> {
    if (operation !== undefined) return this.#performer.perform(operation);
    this.#performer.dropAll();
    process.umask(UMASK);
    this.#performer = new Performer(root);
    return [];
  }
}
