export { engineCapabilities } from "./capabilities.js";
export { findCommand } from "./mount/mount-point.js";
export { startEngine } from "./start-engine.js";
