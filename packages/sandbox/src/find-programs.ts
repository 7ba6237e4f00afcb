/** Finds the programs that make the sandbox. PATH may name directories of the project, whose programs would run outside of it. */
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { delimiter, isAbsolute } from "node:path";
import { isBeneath } from "@sluice/mount-control";
import { lacking, unfit } from "@sluice/runtime/cli";

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

/** Not in `base`. */
function find(name: string, base: string | undefined): string | undefined {
  // Login shells of users leave out the last two.
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  for (const directory of directories) {
    const path = `${directory}/${name}`;
    if (!isAbsolute(directory) || !existsSync(path)) continue;
    try {
      if (base !== undefined && isBeneath(realpathSync.native(path), base)) continue;
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next directory may have it.
    }
  }
  return undefined;
}

function missing(name: keyof typeof PACKAGES, base: string): Error {
  if (find(name, undefined) !== undefined)
    return unfit(base, `${name} lies in it, which makes the sandbox (EPERM)`, "run the command in another directory");
  if ((process.env["PATH"] ?? "") === "")
    return lacking(name, "the program is not found without PATH (ENOENT)", "set PATH, for example to /usr/local/bin:/usr/bin:/bin");
  return lacking(name, "the program is not installed (ENOENT)", `run: apt install ${PACKAGES[name]}`);
}

/** @throws CliError: exit code 3 names the package of a missing program, and 4 says that one lies in the directory */
export function findPrograms(base: string): Programs {
  const found = (Object.keys(PACKAGES) as (keyof typeof PACKAGES)[]).map((name) => {
    const path = find(name, base);
    if (path === undefined) throw missing(name, base);
    return [name, path] as const;
  });
  return Object.fromEntries(found) as Programs; // it has every name of PACKAGES
}
