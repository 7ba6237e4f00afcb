/** Lines for the person who mounts. */
import { tellStderr } from "@sluice/runtime/stderr";

/** Gets a line for the person who mounts, and its object: the mount point or a layer. */
export type Tell = (object: string, line: string) => void;

export const toStandardError: Tell = (object, line) => tellStderr(`sluice: ${object}: ${line}\n`);
