/**
 * One of the calling processes: reads one call a line, answers with one line. It has its own ids, umask and descriptors.
 * Arguments: the actor's name.
 */
import { createInterface } from "node:readline";
import type { Actor } from "../script/operation.js";
import { type Order, Orders } from "./orders.js";

const orders = new Orders(process.argv[2] as Actor);

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await orders.order(JSON.parse(line) as Order))}\n`);
