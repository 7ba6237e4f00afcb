/**
 * The command's view of $HOME: an empty directory with the entries of the real one mounted in it, read-only. Credentials are left out.
 * Directories of tools and caches are overlays of the kernel whose changes stay in the session, since package managers write there. Nothing
 * but covers is mounted in such a directory: bubblewrap follows links on the path of a mount point, and the program could have made them.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { isBeneath } from "@sluice/mount-control";
import { codeOf, wrong } from "@sluice/runtime/cli";

/** Left out, with everything in them. */
const CREDENTIALS = new Set(
  [
    ".ssh .gnupg .pki .aws .azure .kube .docker .oci .boto .s3cfg .netrc .git-credentials .pgpass .my.cnf .mylogin.cnf .npmrc .yarnrc.yml",
    ".pypirc .gem .cargo/credentials .cargo/credentials.toml .vault-token .terraform.d .password-store .mozilla .thunderbird",
    ".bash_history .zsh_history .python_history .node_repl_history .psql_history .mysql_history .lesshst .histfile",
    ".config/gcloud .config/gh .config/hub .config/glab-cli .config/doctl .config/op .config/git/credentials .config/containers/auth.json",
    ".config/google-chrome .config/chromium .config/BraveSoftware .config/Bitwarden .config/1Password .config/keybase .config/rclone",
    ".config/sops .config/age .local/share/keyrings .local/share/kwalletd",
    ".cache/google-chrome .cache/chromium .cache/BraveSoftware .cache/mozilla .cache/thunderbird .cache/gh .cache/keyring",
  ].flatMap((line) => line.split(" ")),
);
/** The value of the variable is the place of the credentials that are else here. */
const MOVED_BY: readonly (readonly [variable: string, from: string])[] = [
  ["XDG_CONFIG_HOME", ".config"],
  ["XDG_DATA_HOME", ".local/share"],
  ["XDG_CACHE_HOME", ".cache"],
  ["GNUPGHOME", ".gnupg"],
  ["KUBECONFIG", ".kube"],
  ["DOCKER_CONFIG", ".docker"],
  ["CARGO_HOME", ".cargo"],
  ["AWS_SHARED_CREDENTIALS_FILE", ".aws"],
  ["AWS_CONFIG_FILE", ".aws"],
  ["AZURE_CONFIG_DIR", ".azure"],
  ["CLOUDSDK_CONFIG", ".config/gcloud"],
  ["GH_CONFIG_DIR", ".config/gh"],
  ["NPM_CONFIG_USERCONFIG", ".npmrc"],
  ["PGPASSFILE", ".pgpass"],
  ["PASSWORD_STORE_DIR", ".password-store"],
];
/** Their values are lists of paths. */
const LISTS = new Set(["KUBECONFIG"]);
/** They are made if they do not exist. Like each other directory whose name begins with a dot, they can be changed in the session. */
const CACHES = new Set([".cache", ".npm", ".yarn", ".pnpm-store", ".bun", ".gradle", ".m2", ".ivy2", ".node-gyp", ".electron-gyp"]);
/** The same, without a dot. */
const TOOLS = new Set(["go", "snap"]);
/** Entries that are mounted or made one by one: bubblewrap takes 9,000 words, and each takes three. */
const MOST_ENTRIES = 2_000;
/** They would end a path or an option of an overlay. */
const UNFIT_PATH = /[\\,:"]/;

export interface HomeView {
  /** Directories and files of the real home to show, read-only. */
  shown: string[];
  /** So many entries are not shown, since there is no room for them among the words of bubblewrap. */
  leftOut: number;
  /** Symbolic links in it, which are made again. */
  links: { path: string; target: string }[];
  /** Credentials inside of the shown directories, or behind a link. */
  hidden: { path: string; directory: boolean }[];
  /** Directories of the session, and their places. */
  own: { path: string; layer: string }[];
  /** Directories of the real home with changes that stay in the session. */
  changeable: HomeOverlay[];
}

/** An overlay of the kernel. If it cannot be mounted, the directory is shown read-only. */
export interface HomeOverlay {
  path: string;
  /** The topmost first; the last one is shown if the overlay cannot be mounted. */
  lowers: string[];
  upper: string;
  work: string;
  /** The mount point, outside of the sandbox. */
  at: string;
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

/** The places of the view in a session. */
export interface HomePlaces {
  upper: string;
  work: string;
  mounts: string;
  /** The same directory in the layers that the session froze, the topmost first. */
  frozen(name: string): string[];
}

const isTool = (name: string): boolean => name.startsWith(".") || TOOLS.has(name);

function namesIn(home: string): string[] {
  try {
    return readdirSync(home);
  } catch (error) {
    throw wrong(home, `this home directory cannot be read (${codeOf(error)})`, "set HOME to a directory of yours");
  }
}

/**
 * @param mounted places of later mounts, and of those that are there. None may lie in a directory that can be changed: the program could
 * have put a link on its path, and an overlay shows no mount in its layers.
 * @throws CliError
 */
export function homeView(home: string, places: HomePlaces, mounted: readonly string[]): HomeView {
  const names = namesIn(home);
  const view: HomeView = { shown: [], leftOut: 0, links: [], hidden: hiddenIn(home, names), own: [], changeable: [] };
  const files: string[] = [];
  const isFree = (path: string): boolean => !mounted.some((other) => isBeneath(other, path));
  for (const name of names) {
    const path = `${home}/${name}`;
    if (CREDENTIALS.has(name)) continue;
    const kind = kindOf(path);
    if (kind === "link") view.links.push({ path, target: readlinkSync(path) });
    else if (kind === "directory" && isTool(name) && isFree(path)) addChangeable(view, { path, name, real: [path] }, places);
    else if (kind === "directory") view.shown.push(path);
    else if (kind === "file") files.push(path);
  }
  view.shown.push(...files);
  view.leftOut = Math.max(0, view.shown.length + view.links.length - MOST_ENTRIES);
  view.shown.splice(Math.max(0, MOST_ENTRIES - view.links.length));
  view.links.splice(MOST_ENTRIES);
  for (const name of CACHES) {
    const path = `${home}/${name}`;
    if (!names.includes(name) && isFree(path)) addChangeable(view, { path, name, real: [] }, places);
  }
  return view;
}

function addChangeable(view: HomeView, { path, name, real }: { path: string; name: string; real: string[] }, places: HomePlaces): void {
  const [upper, work, at] = [`${places.upper}/${name}`, `${places.work}/${name}`, `${places.mounts}/${name}`];
  const lowers = [...places.frozen(name).filter((layer) => existsSync(layer)), ...real];
  for (const directory of lowers.length === 0 ? [upper] : [upper, work, at]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (lowers.length === 0) view.own.push({ path, layer: upper });
  else if ([...lowers, upper].some((layer) => UNFIT_PATH.test(layer))) view.shown.push(...real);
  else view.changeable.push({ path, lowers, upper, work, at });
}

/** bubblewrap covers no link, but its target. */
function existing(paths: readonly string[]): HomeView["hidden"] {
  return paths.flatMap((named) => {
    // An exception costs a hundred times as much.
    if (!existsSync(named)) return [];
    try {
      const path = realpathSync.native(named);
      return [{ path, directory: kindOf(path) === "directory" }];
    } catch {
      return []; // there is none
    }
  });
}

/** All credentials below a home directory. */
export function credentialsIn(home: string, names: Iterable<string> = CREDENTIALS): HomeView["hidden"] {
  return existing(Array.from(names, (name) => `${home}/${name}`));
}

/** Those in other places by variables of the caller. A cover over one of the directories `shown` would leave no place for it. */
export function movedCredentials(variables: NodeJS.ProcessEnv, shown: readonly string[]): HomeView["hidden"] {
  const paths = MOVED_BY.flatMap(([variable, from]) => {
    const value = variables[variable] ?? "";
    const places = (LISTS.has(variable) ? value.split(":") : [value]).filter((place) => place !== "");
    if (places.length === 0) return [];
    const names = [...CREDENTIALS].filter((name) => isBeneath(name, from)).map((name) => relative(from, name));
    return places.flatMap((place) => names.map((name) => join(resolve(place), name)));
  });
  return existing(paths).filter(({ path }) => !shown.some((one) => isBeneath(one, path)));
}

/** Those that are not left out with all around them. */
function hiddenIn(home: string, names: readonly string[]): HomeView["hidden"] {
  const there = new Set(names);
  // Most are not there, and each look takes a call of the kernel.
  const perhaps = [...CREDENTIALS].filter((name) => there.has(name.split("/", 1)[0] ?? ""));
  return credentialsIn(home, perhaps).filter(({ path }) => {
    const top = isBeneath(path, home) ? (relative(home, path).split("/")[0] ?? "") : "";
    return !CREDENTIALS.has(top);
  });
}
