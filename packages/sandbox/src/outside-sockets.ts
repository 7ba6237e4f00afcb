/**
 * The unix sockets of other programs that have a name: connect(2) works on a read-only mount, so each name is covered. The kernel tells the
 * name by which a socket was bound. It may be relative to the working directory of its program, and some programs rename a new socket.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Num: RefCount Protocol Flags Type St Inode Path. Abstract sockets have a path that begins with "@". */
const BOUND = /^(?:\S+\s+){6}(\d+) ([^@].*)$/;

/** The number of names of a socket; 0 if there is none, or this user cannot reach it. */
function namesOf(path: string): number {
  try {
    const found = lstatSync(path);
    return found.isSocket() ? found.nlink : 0;
  } catch {
    return 0;
  }
}

export const isSocket = (path: string): boolean => namesOf(path) > 0;

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** The working directories of the programs that hold each socket, as far as this user can see them. */
function directoriesOf(inodes: ReadonlySet<string>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const pid of namesIn("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkAt(`/proc/${pid}/fd/${fd}`) ?? "")?.[1];
      const directory = inode === undefined || !inodes.has(inode) ? undefined : linkAt(`/proc/${pid}/cwd`);
      if (directory !== undefined) found.set(inode as string, (found.get(inode as string) ?? new Set()).add(directory));
    }
  }
  return found;
}

/** If somebody renamed the socket or gave it another name, each socket in the directory may be it. */
function socketsAt(path: string): string[] {
  if (namesOf(path) === 1) return [path];
  const directory = dirname(path);
  return namesIn(directory)
    .map((name) => resolve(directory, name))
    .filter(isSocket);
}

/** Absolute paths of sockets that this user can reach by name. */
export function outsideSockets(table: string = readFileSync("/proc/net/unix", "utf8")): string[] {
  const bound = table.split("\n").flatMap((line) => {
    const [, inode, path] = BOUND.exec(line) ?? [];
    return inode === undefined || path === undefined ? [] : [{ inode, path }];
  });
  const relative = new Set(bound.filter(({ path }) => !path.startsWith("/")).map(({ inode }) => inode));
  const directories = relative.size === 0 ? undefined : directoriesOf(relative);
  const paths = bound.flatMap(({ inode, path }) =>
    path.startsWith("/") ? [path] : [...(directories?.get(inode) ?? [])].map((directory) => resolve(directory, path)),
  );
  return [...new Set([...new Set(paths)].flatMap(socketsAt))];
}
