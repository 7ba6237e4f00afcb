/**
 * The options of bubblewrap, in the order in which it mounts: the file system read-only, private directories, $HOME, the directories that
 * the caller adds, then the covers, and last the view. Nothing that is added can show what a cover hides.
 */
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { isBeneath, type MountRow } from "@sluice/mount-control";
import { aliasesOf } from "./aliases.js";
import type { HomeView } from "./home-view.js";
import { isSocket } from "./outside-sockets.js";

export interface Confinement {
  /** As root no user namespace is made, and the command has `ROOT_CAPABILITIES`. */
  asRoot: boolean;
  uid: number;
  gid: number;
  network: "none" | "host";
  /** The real path of the directory that the command works on, and the mount that takes its place. */
  base: string;
  view: string;
  /** The directory of all state of Sluice. */
  state: string;
  /** The real path of $HOME, if there is one that can have a view. */
  home: { path: string; view: HomeView } | undefined;
  /** Real paths of credentials in home directories without a view. */
  credentials: HomeView["hidden"];
  /** Real paths. */
  writable: readonly string[];
  readOnly: readonly string[];
  /** Directories of sockets, each with an empty one on top. */
  emptied: readonly string[];
  /** Sockets to show. */
  reachable: readonly string[];
  mounts: readonly MountRow[];
}

/** Enough to install, unpack and build as root. None of them mounts, makes a device, or reaches a process outside. */
const ROOT_CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETUID",
  "SYS_CHROOT",
];
/** Files of root in /proc that change the whole machine: the owner may write them without any capability. */
const MACHINE_WIDE = ["acpi", "bus", "fs", "irq", "mtrr", "scsi", "sys", "sysrq-trigger"].map((name) => `/proc/${name}`);
/** Readable by root alone. */
const ROOT_SECRETS = [
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
  "/etc/ssl/private",
  "/etc/ssh",
  "/proc/kcore",
  "/proc/keys",
];
const HOMES = ["/home", "/root"];
const PRIVATE = ["/tmp", "/var/tmp"];
const PLACES = ["/dev", "/proc", "/run", ...PRIVATE];

/** A view of it would show the machine's own places again: $HOME is "/" for a user whom a container does not know. */
export const hasPlaces = (directory: string): boolean => PLACES.some((place) => isBeneath(place, directory));

function identity({ asRoot, uid, gid, network }: Confinement): string[] {
  const user = asRoot
    ? ROOT_CAPABILITIES.flatMap((name) => ["--cap-add", `CAP_${name}`])
    : ["--unshare-user", "--uid", String(uid), "--gid", String(gid)];
  return [
    // A new session has no terminal, until the stage gives the command one of its own.
    ...["--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL", ...user],
    ...(network === "none" ? ["--unshare-net"] : []),
  ];
}

const covered = (path: string, directory: boolean): string[] =>
  directory ? ["--perms", "0700", "--tmpfs", path, "--remount-ro", path] : ["--ro-bind", "/dev/null", path];

const isDirectory = (path: string): boolean => existsSync(`${path}/.`);

function secretsOfRoot({ asRoot }: Confinement): string[] {
  if (!asRoot) return [];
  return [
    ...MACHINE_WIDE.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", path, path]),
    ...ROOT_SECRETS.filter((path) => existsSync(path)).flatMap((path) => covered(path, isDirectory(path))),
    ...HOMES.filter((path) => existsSync(path)).flatMap((path) => ["--tmpfs", path]),
  ];
}

/** Names of hosts are looked up by a file that often lies in /run. */
function resolver(): string[] {
  try {
    const path = realpathSync.native("/etc/resolv.conf");
    return isBeneath(path, "/run") ? ["--ro-bind", path, path] : [];
  } catch {
    return [];
  }
}

function homeOptions({ home, emptied }: Confinement): string[] {
  if (home === undefined) return [];
  const within = emptied.filter((path) => path !== home.path && isBeneath(path, home.path));
  return [
    ...["--perms", "0700", "--tmpfs", home.path],
    ...home.view.shown.flatMap((path) => ["--ro-bind-try", path, path]),
    ...home.view.links.flatMap(({ path, target }) => ["--symlink", target, path]),
    ...home.view.own.flatMap(({ path, layer }) => ["--bind", layer, path]),
    ...home.view.changeable.flatMap(({ path, at }) => ["--bind", at, path]),
    ...home.view.hidden.flatMap(({ path, directory }) => covered(path, directory)),
    ...within.flatMap((path) => ["--tmpfs", path]),
  ];
}

function credentials(plan: Confinement): string[] {
  const shown = plan.credentials.flatMap(({ path }) => [path, ...aliasesOf(path, plan.mounts).map((alias) => alias.path)]);
  const places = shown.filter((path) => isSeen(path, plan)).map((path) => placeToCover(path, plan));
  const shownLater = [...plan.readOnly, ...plan.writable, ...plan.reachable];
  // bubblewrap makes a place for each of those.
  const hasPlace = (path: string): boolean => shownLater.some((one) => one !== path && isBeneath(one, path));
  return [...new Set(places)].flatMap((path) => (hasPlace(path) ? ["--perms", "0700", "--tmpfs", path] : covered(path, isDirectory(path))));
}

/** Whether the command sees the real object at this path: a private directory on top of it hides it, unless the caller added it. */
function isSeen(path: string, { asRoot, emptied, writable, readOnly, home }: Confinement): boolean {
  if ([...writable, ...readOnly].some((added) => isBeneath(path, added))) return true;
  const ofHome = [...(home?.view.shown ?? []), ...(home?.view.changeable ?? []).map((one) => one.path)];
  if (ofHome.some((shown) => isBeneath(path, shown))) return true;
  const hidden = [...PRIVATE, ...emptied, "/proc", "/dev", ...(asRoot ? HOMES : []), ...(home === undefined ? [] : [home.path])];
  return !hidden.some((directory) => isBeneath(path, directory));
}

/** The directories above `path` that lie in `around`. */
function between(path: string, around: string): string[] {
  const above = dirname(path);
  return above === around ? [] : [above, ...between(above, around)];
}

/**
 * The directories between one of `--write` and a cover or the view in it. The command could move one away, with all that is mounted in it, and
 * put a link in its place, which later commands on the session would follow. A directory on which something is mounted cannot be moved.
 */
function pinned({ base, state, mounts, readOnly, writable }: Confinement): string[] {
  if (writable.length === 0) return [];
  const covered = [base, state].flatMap((path) => [path, ...aliasesOf(path, mounts).map((alias) => alias.path)]);
  return writable.flatMap((around) =>
    covered
      .filter((path) => isBeneath(path, around) && path !== around)
      .flatMap((path) => between(path, around))
      .filter((path) => !readOnly.some((one) => isBeneath(path, one) && isBeneath(one, around))),
  );
}

/** Directories that are shown as they are. One in another has its own kind: a directory comes before those in it. */
function shownDirectories(plan: Confinement): string[] {
  const writable = [...new Set([...plan.writable, ...pinned(plan)])].map((path) => ({ how: "--bind", path }));
  const readOnly = plan.readOnly.map((path) => ({ how: "--ro-bind", path }));
  // The last of two for one path holds: the stricter one.
  return [...writable, ...readOnly].sort((one, other) => one.path.length - other.path.length).flatMap(({ how, path }) => [how, path, path]);
}

function covers(plan: Confinement): string[] {
  const hidden = [plan.state, ...(plan.home === undefined ? [] : [plan.home.path])].flatMap((path) => aliasesOf(path, plan.mounts));
  return [plan.state, ...hidden.map(({ path }) => path)]
    .filter((path) => isSeen(path, plan))
    .flatMap((path) => covered(path, isDirectory(path)));
}

function views(plan: Confinement): string[] {
  const aliases = aliasesOf(plan.base, plan.mounts).filter(({ path }) => isSeen(path, plan));
  return [
    ...aliases.flatMap(({ path, within }) => (within === "" ? ["--bind", plan.view, path] : covered(path, isDirectory(path)))),
    ...["--bind", plan.view, plan.base],
  ];
}

/**
 * Those to cover one by one, at each path by which a mount shows them. bubblewrap fails if one is gone, and those of other sessions go at any
 * time: the state is covered as a whole.
 */
function coveredSockets(plan: Confinement, sockets: readonly string[]): string[] {
  const shown = sockets.filter((path) => !plan.reachable.includes(path) && !isBeneath(path, plan.state));
  const aliases = shown.flatMap((path) => aliasesOf(path, plan.mounts).map((alias) => alias.path));
  const seen = [...new Set([...shown, ...aliases.filter(isSocket)])].filter((path) => isSeen(path, plan));
  return [...new Set(seen.map((path) => placeToCover(path, plan)))];
}

/** bubblewrap opens the directory of a cover. If it may only be searched, it is covered as a whole, unless it leads to something to show. */
function placeToCover(path: string, { base, home, writable, readOnly, reachable }: Confinement): string {
  let place = path;
  while (!isReadable(dirname(place))) place = dirname(place);
  const shown = [base, ...(home === undefined ? [] : [home.path]), ...writable, ...readOnly, ...reachable];
  return shown.some((one) => isBeneath(one, place)) ? path : place;
}

function isReadable(directory: string): boolean {
  try {
    accessSync(directory, constants.R_OK);
    return true;
  } catch {
    return directory === "/";
  }
}

/** A function of the sockets of other programs, as they are when the command begins. The rest is planned before. */
export function bwrapArguments(plan: Confinement): (sockets: readonly string[]) => string[] {
  const added = [...shownDirectories(plan), ...plan.reachable.flatMap((path) => ["--bind", path, path])];
  const first = [
    ...identity(plan),
    ...["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"],
    ...secretsOfRoot(plan),
    ...plan.emptied.flatMap((path) => ["--tmpfs", path]),
    ...PRIVATE.filter(isDirectory).flatMap((path) => ["--perms", "1777", "--tmpfs", path]),
    ...resolver(),
    ...homeOptions(plan),
    ...credentials(plan),
    ...added,
  ];
  const last = [...covers(plan), ...views(plan), "--chdir", plan.base];
  return (sockets) => [...first, ...coveredSockets(plan, sockets).flatMap((path) => covered(path, isDirectory(path))), ...last];
}
