/** Arguments of this process as byte strings. Node takes them for UTF-8, and so loses other bytes, such as those of a name in another encoding. */
import { readFileSync } from "node:fs";

const LOST = "\ufffd";

/** An argument, and the value in it, as in --take-session=PATH. */
const formsOf = (argument: string): string[] =>
  /^--[^=]+=/.test(argument) ? [argument, argument.slice(argument.indexOf("=") + 1)] : [argument];

/** @returns several if arguments of this process differ in the lost bytes alone */
export function argumentBytes(word: string): string[] {
  const itself = Buffer.from(word).toString("latin1");
  if (!word.includes(LOST)) return [itself];
  const given = readFileSync("/proc/self/cmdline", "latin1").split("\0").flatMap(formsOf);
  const same = given.filter((argument) => Buffer.from(argument, "latin1").toString() === word);
  return same.length === 0 ? [itself] : [...new Set(same)];
}
