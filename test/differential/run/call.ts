/** The parts of a call in a script: a probe to make it with, open files in numbered slots, and named arguments. */
import type { Probe } from "../../conformance/probe/probe.js";
import type { Args } from "../script/operation.js";

export interface Hands {
  readonly probe: Probe;
  /** A slot's descriptor, or one that is not open: every call then answers EBADF. */
  fd(slot: number): number;
  holdFd(slot: number, fd: number): void;
  drop(slot: number): void;
}

export type Call = (hands: Hands, args: Args) => void | Promise<void>;

export function text(args: Args, name: string): string {
  const value = args[name];
  return typeof value === "string" ? value : "";
}

export function number(args: Args, name: string): number {
  const value = args[name];
  return typeof value === "number" ? value : 0;
}

/** The data of a write: `text`, repeated `times` times if given. */
export function dataOf(args: Args): string {
  return text(args, "text").repeat(number(args, "times") || 1);
}
