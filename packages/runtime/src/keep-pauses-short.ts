/** Pauses for garbage, during which no request is answered: many short ones instead of few long ones. */
import { setFlagsFromString } from "node:v8";

/**
 * What V8 moves in one pause is what survived in the young generation, and nodes do survive: grown to its 16 MiB it takes
 * several milliseconds while a tree is walked. It is kept from growing beyond what it starts with, and loading a service's modules
 * has it grow already: call this before they are imported.
 */
export function keepPausesShort(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
