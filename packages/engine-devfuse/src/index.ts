export { Agreement } from "./agreement.js";
export { engineCapabilities } from "./capabilities.js";
export type { Channel } from "./channel.js";
export type { Engine, EngineEvents, MountOptions, StartEngine } from "./engine.js";
export { negotiate } from "./init.js";
export { InFlight } from "./interrupts.js";
export { Replies } from "./replies.js";
export { type ServeParts, serveChannel } from "./serve-channel.js";
export { startEngine } from "./start-engine.js";
