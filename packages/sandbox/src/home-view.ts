/**
 * The command's view of $HOME: a directory of the session, with each entry of the real one mounted on top, read-only. Credentials are left
 * out. Caches are left out, too: package managers make and write their own.
 */
import { lstatSync, readdirSync, readlinkSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { codeOf, failed } from "@sluice/runtime/cli";

/** Left out, with everything in them. */
const CREDENTIALS = new Set(
  [
    ".ssh .gnupg .pki .aws .azure .kube .docker .oci .boto .s3cfg .netrc .git-credentials .pgpass .my.cnf .mylogin.cnf .npmrc .yarnrc.yml",
    ".pypirc .gem .cargo/credentials .cargo/credentials.toml .vault-token .terraform.d .password-store .mozilla .thunderbird",
    ".bash_history .zsh_history .python_history .node_repl_history .psql_history .mysql_history .lesshst .histfile",
    ".config/gcloud .config/gh .config/hub .config/glab-cli .config/doctl .config/op .config/git/credentials .config/containers/auth.json",
    ".config/google-chrome .config/chromium .config/BraveSoftware .config/Bitwarden .config/1Password .config/keybase .config/rclone",
    ".config/sops .config/age .local/share/keyrings .local/share/kwalletd .m2/settings.xml .m2/settings-security.xml .gradle/gradle.properties",
  ].flatMap((line) => line.split(" ")),
);
/** Left out, so that a program makes its own, which stay with the session. */
const CACHES = [".cache", ".npm", ".yarn", ".pnpm-store", ".bun", ".gradle", ".m2", ".ivy2", ".node-gyp", ".electron-gyp"];

export interface HomeView {
  /** Directories and files of the real home to show, read-only. */
  shown: string[];
  /** The credentials inside of those, or behind a link. */
  hidden: { path: string; directory: boolean }[];
}

function kindOf(path: string): "directory" | "link" | "file" | "none" {
  try {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return "link";
    return stat.isDirectory() ? "directory" : stat.isFile() ? "file" : "none";
  } catch {
    return "none";
  }
}

/** A link is made again. The same rules apply to its target. */
function relink(from: string, to: string): void {
  try {
    symlinkSync(readlinkSync(from), to);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw failed(to, `the link cannot be created (${codeOf(error)})`, "make room on its disk");
  }
}

/** @param layer the directory of the session that becomes $HOME. @throws CliError */
export function homeView(home: string, layer: string): HomeView {
  const shown: string[] = [];
  for (const name of readdirSync(home)) {
    const path = join(home, name);
    if (CREDENTIALS.has(name) || CACHES.includes(name)) continue;
    const kind = kindOf(path);
    if (kind === "link") relink(path, join(layer, name));
    else if (kind !== "none") shown.push(path);
  }
  return { shown, hidden: [...CREDENTIALS].flatMap((name) => hiddenAt(join(home, name), name.includes("/"))) };
}

/** @param isShown whether the path itself can be seen; the target of a link may be anywhere */
function hiddenAt(path: string, isShown: boolean): HomeView["hidden"] {
  const kind = kindOf(path);
  if (kind === "link") return hiddenTarget(path);
  return kind === "none" || !isShown ? [] : [{ path, directory: kind === "directory" }];
}

function hiddenTarget(path: string): HomeView["hidden"] {
  try {
    return hiddenAt(realpathSync(path), true);
  } catch {
    return []; // a link to nothing
  }
}
