export * from "./attr.js";
export * from "./errno.js";
export * from "./filesystem.js";
export * from "./flags.js";
export * from "./kernel-port.js";
export * from "./out.js";
