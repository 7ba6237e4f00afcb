/** Checks for programs of other packages. A mount by root needs none of them. */
import { findCommand } from "@sluice/engine-fuse-native";
import type { CheckResult } from "./check-up.js";

interface OptionalPackage {
  name: string;
  /** One of them is enough. */
  commands: readonly string[];
  use: string;
  cost: string;
}

const PACKAGES: readonly OptionalPackage[] = [
  {
    name: "bubblewrap",
    commands: ["bwrap"],
    use: "'sluice run' has its sandbox",
    cost: "'sluice run' has no sandbox, and refuses to start",
  },
  {
    name: "fuse3",
    commands: ["fusermount3", "fusermount"],
    use: "ordinary users can mount by '--engine fuse-native'",
    cost: "only root can mount by '--engine fuse-native'",
  },
];

export function checkPrograms(): CheckResult[] {
  return PACKAGES.map(({ name, commands, use, cost }) => {
    const found = commands.some((command) => findCommand(command) !== undefined);
    if (found) return { name, state: "ok", detail: use };
    return { name, state: "limit", detail: `not installed: ${cost}`, remedy: `run: apt install ${name} (dnf, zypper: the same name)` };
  });
}
