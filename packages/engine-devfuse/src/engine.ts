/** The engine's face is the one of every engine; it lives with the contract. */
export type { Engine, EngineEvents, MountOptions, StartEngine } from "@sluice/vfs";
