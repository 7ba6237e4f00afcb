/** Checks SELinux labels of the whole mount: only a kernel with SELinux knows them, and only the engine devfuse passes them on. */
import { readFileSync } from "node:fs";
import { lacking, wrong } from "@sluice/runtime/cli";
import type { EngineChoice, MountConfig } from "../config/mount-config.js";

/** The engine that supports these labels. @throws CliError if there is none */
export function checkLabels(
  { labels, engine }: Pick<MountConfig, "labels" | "engine">,
  fileSystems: string = readFileSync("/proc/filesystems", "latin1"),
): EngineChoice {
  const [first] = labels;
  if (first === undefined) return engine;
  if (engine === "fuse-native")
    throw wrong(`-o ${first}`, "the engine fuse-native passes no label on", "use --engine devfuse, or leave the label out");
  if (!/\bselinuxfs$/m.test(fileSystems)) throw lacking(`-o ${first}`, "this kernel runs no SELinux", "leave the label out");
  return "devfuse";
}
