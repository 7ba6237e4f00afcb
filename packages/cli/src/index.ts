/** The command line as an object, and the embedded decision service, for the command's other faces. The command itself is main.ts. */
export { startEmbeddedDecision } from "./embedded/start-embedded-decision.js";
export { buildProgram } from "./program.js";
