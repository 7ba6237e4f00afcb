/** Finds the programs that make the sandbox. PATH may name directories of the project, whose programs would run outside of it. */
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { isBeneath } from "@sluice/mount-control";
import { lacking } from "@sluice/runtime/cli";

/** The Debian package of each. */
const PACKAGES = {
  bwrap: "bubblewrap",
  dd: "coreutils",
  env: "coreutils",
  mount: "mount",
  mountpoint: "util-linux",
  setpriv: "util-linux",
  setsid: "util-linux",
  sh: "dash",
  unshare: "util-linux",
} as const;
export type Programs = Record<keyof typeof PACKAGES, string>;

function find(name: string, base: string): string | undefined {
  // Login shells of users leave out the last two.
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  for (const directory of directories) {
    const path = join(directory, name);
    if (!isAbsolute(directory) || !existsSync(path)) continue;
    try {
      if (isBeneath(realpathSync.native(path), base)) continue;
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next directory may have it.
    }
  }
  return undefined;
}

/** @throws CliError, exit code 3, that names the package of a missing program */
export function findPrograms(base: string): Programs {
  const found = Object.entries(PACKAGES).map(([name, debianPackage]) => {
    const path = find(name, base);
    if (path === undefined && (process.env["PATH"] ?? "") === "")
      throw lacking(name, "the program is not found without PATH (ENOENT)", "set PATH, for example to /usr/local/bin:/usr/bin:/bin");
    if (path === undefined) throw lacking(name, "the program is not installed (ENOENT)", `run: apt install ${debianPackage}`);
    return [name, path] as const;
  });
  return Object.fromEntries(found) as Programs; // it has every name of PACKAGES
}
