/** Programs that run during tests of a server's end. */

/**
 * Works in a directory until it is told to stop, with names, content and an open file, and prints what went wrong. Its second argument is
 * the time from one round to the next, 1 ms by default.
 */
export const LOAD = `
import { closeSync, openSync, readFileSync, readSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
process.chdir(process.argv[1]);
const held = openSync("f", "r");
const log = openSync("log", "a+");
let rounds = 0;
const round = () => {
  rounds++;
  writeFileSync("a", String(rounds));
  renameSync("a", "b");
  if (readFileSync("b", "utf8") !== String(rounds)) throw new Error("b is not what was written");
  rmSync("b");
  writeSync(log, rounds + "\\n");
  const text = Buffer.alloc(5);
  readSync(held, text, 0, 5, 0);
  if (text.toString() !== "lower") throw new Error("the open file reads otherwise");
};
process.stdin.once("data", () => {
  const lines = readFileSync("log", "utf8").trim().split("\\n").map(Number);
  const whole = lines.length === rounds && lines.every((line, at) => line === at + 1);
  console.log(JSON.stringify({ whole, rounds }));
  process.exit(0);
});
console.log("works");
setInterval(round, Number(process.argv[2] ?? 1));
`;
