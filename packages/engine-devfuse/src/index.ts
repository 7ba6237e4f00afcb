export type { Engine, EngineEvents, MountOptions, StartEngine } from "./engine.js";
export { negotiate } from "./init.js";
export { startEngine } from "./start-engine.js";
