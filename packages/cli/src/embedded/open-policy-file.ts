/**
 * Opens a policy's files for the decision service, which has no rights, with the rights of the user who controls the path. Root names the
 * policy, but the owner of a directory, a link or a file on the path controls the rest of it. From there on files are opened as that user,
 * so that no link leads to a file that only root may read.
 */
import { readFileSync } from "node:fs";
import { mountTableText } from "@sluice/mount-control";
import { CAP, capabilityMask, native, STAT_WORDS, StatWord, toBytes, toText } from "@sluice/native";
import { AT, Errno, O, S } from "@sluice/vfs";

const ROOT = 0;
/** The id of nobody, who owns nothing. */
const NOBODY = 65_534;
const WRITABLE_BY_ALL = 0o002;
const MAX_LINKS = 40;
const PATH_MAX = 4_096;
const OVERRIDES = capabilityMask(CAP.DAC_OVERRIDE, CAP.DAC_READ_SEARCH, CAP.FOWNER);

/** `owner`: the user whose rights opened it, and whose rights open the files that it names. */
export type Opened = { kind: "file"; fd: number; owner: number } | { kind: "directory" } | { kind: "failed"; errno: number };

let last: { table: string; errnos: ReadonlyMap<string, number> } = { table: "", errnos: new Map() };

/**
 * The error for a file on FUSE: its server may never answer, and this thread serves one itself. EACCES on a mount of Sluice, EREMOTE on
 * others.
 */
function fuseErrnos(): ReadonlyMap<string, number> {
  const table = mountTableText();
  if (last.table === table) return last.errnos;
  const errnos = new Map<string, number>();
  for (const line of table.split("\n")) {
    const type = / - (fuse(?:blk|\.\S*)?) /.exec(line)?.[1];
    if (type !== undefined) errnos.set(line.split(" ", 3)[2] as string, type === "fuse.sluice" ? Errno.EACCES : Errno.EREMOTE);
  }
  last = { table, errnos };
  return errnos;
}

/** Outside the initial user namespace, unmapped ids appear as nobody's: an unknown user controls such a file. */
function nobodyIsRoot(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
}

/** Synchronous: everything that this thread does meanwhile happens as `owner`. */
function as(owner: number, act: () => number): number {
  if (owner === ROOT) return act();
  const capabilities = native.effectiveCapabilities();
  const status = native.asCaller(owner, NOBODY, 0, []);
  if (status < 0) return status;
  native.setEffectiveCapabilities(capabilities & ~OVERRIDES);
  try {
    return act();
  } finally {
    native.setEffectiveCapabilities(capabilities);
    native.asDaemon();
  }
}

class Walk {
  readonly #words = new Uint32Array(STAT_WORDS);
  /** O_PATH descriptors from the root down. */
  readonly #directories: { fd: number; name: string }[] = [];
  readonly #fuse = fuseErrnos();
  readonly #trustNobody = nobodyIsRoot();
  #rest: string[];
  #links = 0;

  constructor(
    path: string,
    private owner: number,
  ) {
    this.#rest = toBytes(path).split("/");
  }

  get isPlain(): boolean {
    return this.owner === ROOT && this.#links === 0;
  }

  #open(name: string, flags: number): number {
    const directory = this.#directories.at(-1)?.fd ?? -1;
    return as(this.owner, () => native.openat(directory, name, flags | O.NOFOLLOW | O.CLOEXEC, 0));
  }

  #backTo(depth: number): void {
    for (const { fd } of this.#directories.splice(depth)) native.close(fd);
  }

  #mode(fd: number): number {
    native.statx(fd, "", AT.EMPTY_PATH | AT.STATX_DONT_SYNC, this.#words);
    return this.#words[StatWord.mode] as number;
  }

  #takeOwner(mode: number): void {
    const uid = this.#words[StatWord.uid] as number;
    if (uid !== ROOT && uid !== this.owner && !(this.#trustNobody && uid === NOBODY)) this.owner = this.owner === ROOT ? uid : NOBODY;
    const forAll = (mode & S.IFMT) === S.IFDIR && (mode & WRITABLE_BY_ALL) !== 0 && (mode & S.ISVTX) === 0;
    if (forAll && this.owner === ROOT) this.owner = NOBODY;
  }

  /** @returns 0, or a negative errno: it opens nothing on FUSE */
  #refusal(): number {
    return -(this.#fuse.get(`${this.#words[StatWord.devMajor]}:${this.#words[StatWord.devMinor]}`) ?? 0);
  }

  /** 0, or a negative errno. */
  #follow(fd: number): number {
    if (++this.#links > MAX_LINKS) return -Errno.ELOOP;
    const target = Buffer.alloc(PATH_MAX);
    const length = native.readlinkat(fd, "", target);
    if (length < 0) return length;
    const text = target.toString("latin1", 0, length);
    if (text.startsWith("/")) this.#backTo(1);
    this.#rest = [...text.split("/"), ...this.#rest];
    return 0;
  }

  /** Takes one component. @returns undefined to continue; otherwise the O_PATH descriptor of the last one, or a negative errno */
  #step(name: string): number | undefined {
    if (name === "..") {
      this.#backTo(Math.max(1, this.#directories.length - 1));
      return undefined;
    }
    const fd = this.#open(name, O.PATH);
    if (fd < 0) return fd;
    const mode = this.#mode(fd);
    let status = this.#refusal();
    if (status === 0) this.#takeOwner(mode);
    const isLink = (mode & S.IFMT) === S.IFLNK;
    if (status === 0 && isLink) status = this.#follow(fd);
    if (status < 0 || isLink) {
      native.close(fd);
      return status < 0 ? status : undefined;
    }
    if (this.#rest.length === 0) return fd;
    this.#directories.push({ fd, name });
    return undefined;
  }

  /** Calls `use` with the object's O_PATH descriptor and its name in `directory`, which are closed afterwards. */
  end<Result>(use: (fd: number, name: string) => Result, failed: (errno: number) => Result): Result {
    this.#directories.push({ fd: native.openat(AT.FDCWD, "/", O.PATH | O.CLOEXEC, 0), name: "" });
    try {
      for (;;) {
        this.#rest = this.#rest.filter((name) => name !== "" && name !== ".");
        const name = this.#rest.shift();
        if (name === undefined) return failed(Errno.EISDIR);
        const fd = this.#step(name);
        if (fd === undefined) continue;
        return fd < 0 ? failed(-fd) : this.#used(fd, name, use);
      }
    } finally {
      this.#backTo(0);
    }
  }

  #used<Result>(fd: number, name: string, use: (fd: number, name: string) => Result): Result {
    try {
      return use(fd, name);
    } finally {
      native.close(fd);
    }
  }

  read(): Opened {
    return this.end(
      (found, name): Opened => {
        const kind = this.#mode(found) & S.IFMT;
        if (kind === S.IFDIR) return { kind: "directory" };
        if (kind !== S.IFREG) return { kind: "failed", errno: Errno.EINVAL };
        const wanted = this.#identity();
        const fd = this.#open(name, O.NONBLOCK);
        if (fd < 0) return { kind: "failed", errno: -fd };
        this.#mode(fd);
        if (this.#identity() === wanted) return { kind: "file", fd, owner: this.owner };
        // It has just been replaced: the caller asks again.
        native.close(fd);
        return { kind: "failed", errno: Errno.ENOENT };
      },
      (errno) => ({ kind: "failed", errno }),
    );
  }

  /** The path without links; "" if it leads nowhere. */
  resolve(): string {
    return this.end(
      (_fd, name) => toText([...this.#directories.map((directory) => directory.name), name].join("/")),
      () => "",
    );
  }

  #identity(): string {
    return [StatWord.devMajor, StatWord.devMinor, StatWord.inoHi, StatWord.inoLo].map((word) => this.#words[word]).join(":");
  }
}

/** Opens for reading. `owner`: of the file that names this one, or root for a file that the command line names. */
export function openPolicyFile(path: string, owner: number): Opened {
  return new Walk(path, owner).read();
}

/** The path of a policy file without links; "" if it leads nowhere. */
export function resolvePolicyFile(path: string): string {
  return new Walk(path, ROOT).resolve();
}

/** The object of a path, for attributes, not for content. */
export interface FoundFile {
  /** An O_PATH descriptor; a negative errno if there is nothing, or if it is on FUSE. */
  fd: number;
  /** The path has no link, and only root can put one there. */
  isPlain: boolean;
}

export function openToWatch(path: string): FoundFile {
  const walk = new Walk(path, ROOT);
  return walk.end(
    (fd) => ({ fd: native.dupfd(fd), isPlain: walk.isPlain }),
    (errno) => ({ fd: -errno, isPlain: false }),
  );
}
