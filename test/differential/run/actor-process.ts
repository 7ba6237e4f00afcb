/**
 * One of the calling processes: reads one call a line, answers with one line. It has its own ids, umask and descriptors.
 * Arguments: the actor's name.
 */
import { createInterface } from "node:readline";
import { check, native } from "@sluice/native";
import { type Actor, ACTORS, type Operation } from "../script/operation.js";
import { Performer } from "./performer.js";

/** The sequence's directory, and the call; a message without a call closes all descriptors of the sequence before. */
export interface Order {
  root: string;
  operation?: Operation;
}

const { uid, gid, groups } = ACTORS[process.argv[2] as Actor];
check(native.becomeUser(uid, gid, groups), `become ${process.argv[2]}`);
process.umask(0o022);

let performer = new Performer("");

async function answer({ root, operation }: Order): Promise<unknown[]> {
  if (operation === undefined) {
    performer.dropAll();
    process.umask(0o022);
    performer = new Performer(root);
    return [];
  }
  return performer.perform(operation);
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as Order))}\n`);
