export * from "./attr.js";
export * from "./engine.js";
export * from "./engine-capabilities.js";
export * from "./errno.js";
export * from "./filesystem.js";
export * from "./flags.js";
export * from "./kernel-port.js";
export * from "./out.js";
