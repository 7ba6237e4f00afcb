/** The command line as an object, for tools that want to look at it. The command itself is main.ts. */
export { buildProgram } from "./program.js";
