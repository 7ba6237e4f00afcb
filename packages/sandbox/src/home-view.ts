/**
 * The command's view of $HOME: an empty directory with the entries of the real one mounted in it, read-only. Credentials are left out. Caches
 * are directories of the session, since package managers write there. Only their content is the program's: bubblewrap follows links on the
 * path of a mount point, so that nothing may be mounted in a directory that an earlier command could have changed.
 */
import { lstatSync, mkdirSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { join, relative } from "node:path";
import { isBeneath } from "@sluice/mount-control";

/** Left out, with everything in them. */
const CREDENTIALS = new Set(
  [
    ".ssh .gnupg .pki .aws .azure .kube .docker .oci .boto .s3cfg .netrc .git-credentials .pgpass .my.cnf .mylogin.cnf .npmrc .yarnrc.yml",
    ".pypirc .gem .cargo/credentials .cargo/credentials.toml .vault-token .terraform.d .password-store .mozilla .thunderbird",
    ".bash_history .zsh_history .python_history .node_repl_history .psql_history .mysql_history .lesshst .histfile",
    ".config/gcloud .config/gh .config/hub .config/glab-cli .config/doctl .config/op .config/git/credentials .config/containers/auth.json",
    ".config/google-chrome .config/chromium .config/BraveSoftware .config/Bitwarden .config/1Password .config/keybase .config/rclone",
    ".config/sops .config/age .local/share/keyrings .local/share/kwalletd",
  ].flatMap((line) => line.split(" ")),
);
/** Empty at first. They stay with the session. */
const CACHES = new Set([".cache", ".npm", ".yarn", ".pnpm-store", ".bun", ".gradle", ".m2", ".ivy2", ".node-gyp", ".electron-gyp"]);

export interface HomeView {
  /** Directories and files of the real home to show, read-only. */
  shown: string[];
  /** Symbolic links in it, which are made again. */
  links: { path: string; target: string }[];
  /** Credentials inside of the shown directories, or behind a link. */
  hidden: { path: string; directory: boolean }[];
  /** Directories of the session, and their places. */
  caches: { path: string; layer: string }[];
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

/**
 * @param layer the directory of the session that holds the caches
 * @param mounted places of later mounts. None of them may lie in a cache: there the program could have put a link on its path.
 */
export function homeView(home: string, layer: string, mounted: readonly string[]): HomeView {
  const view: HomeView = { shown: [], links: [], hidden: hiddenIn(home), caches: [] };
  for (const name of readdirSync(home)) {
    const path = join(home, name);
    if (CREDENTIALS.has(name) || CACHES.has(name)) continue;
    const kind = kindOf(path);
    if (kind === "link") view.links.push({ path, target: readlinkSync(path) });
    else if (kind !== "none") view.shown.push(path);
  }
  for (const name of CACHES) {
    const path = join(home, name);
    if (mounted.some((other) => isBeneath(other, path))) continue;
    mkdirSync(join(layer, name), { recursive: true, mode: 0o700 });
    view.caches.push({ path, layer: join(layer, name) });
  }
  return view;
}

/** bubblewrap covers no link, but its target. */
function hiddenIn(home: string): HomeView["hidden"] {
  return [...CREDENTIALS].flatMap((name) => {
    try {
      const path = realpathSync(join(home, name));
      const top = isBeneath(path, home) ? (relative(home, path).split("/")[0] ?? "") : "";
      return CREDENTIALS.has(top) || CACHES.has(top) ? [] : [{ path, directory: kindOf(path) === "directory" }];
    } catch {
      return []; // there is none
    }
  });
}
