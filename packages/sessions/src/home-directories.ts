/** The home directory of this process, and that of its account: a program may have another $HOME than its user. */
import { existsSync, realpathSync } from "node:fs";
import { userInfo } from "node:os";
import { isAbsolute } from "node:path";

/** Undefined if the machine does not know the user. */
function accountHome(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

/** $HOME, or that of the account if it names no absolute path. Undefined if there is none. */
export function homeDirectory(): string | undefined {
  const given = process.env["HOME"] ?? "";
  const home = isAbsolute(given) ? given : (accountHome() ?? "");
  return isAbsolute(home) ? home : undefined;
}

const real = (path: string | undefined): string | undefined =>
  path !== undefined && existsSync(path) ? realpathSync.native(path) : undefined;

/** Undefined if it does not exist, as each of these. */
export const realHome = (): string | undefined => real(homeDirectory());

export const realAccountHome = (): string | undefined => real(accountHome());
