export { engineCapabilities } from "./capabilities.js";
export { startEngine } from "./start-engine.js";
