/** The terminal view of `sluice top`: reports of a mount's activity become rates, and rates become a screen or lines. */
export { frame } from "./frame.js";
export { between } from "./rates.js";
export { isScreen, TerminalScreen } from "./terminal-screen.js";
export { watchLive } from "./watch-live.js";
