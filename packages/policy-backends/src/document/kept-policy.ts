/**
 * The files of the policy in force, as they were read, for a service that is started again while the newest ones have a mistake: the one before
 * stays in force then, too.
 */
import { OWN_DISK, type PolicyDisk } from "./policy-disk.js";

interface Kept {
  version: 1;
  /** The file that the policy begins with. */
  located: string;
  /** Their content in base64. */
  files: [path: string, content: string][];
}

export interface Keeping {
  /** The last files that `keep` got before this service; undefined: none. */
  last: string | undefined;
  /** Gets the files of each policy that comes into force. */
  keep(files: string): void;
}

/** Notes what is read of another disk since a load began. */
export class NotingDisk implements PolicyDisk {
  readonly #read = new Map<string, Buffer>();

  constructor(private readonly disk: PolicyDisk) {}

  stat(path: string): ReturnType<PolicyDisk["stat"]> {
    return this.disk.stat(path);
  }

  problem(path: string): string | undefined {
    return this.disk.problem(path);
  }

  read(path: string): Buffer {
    const bytes = this.disk.read(path);
    this.#read.set(path, bytes);
    return bytes;
  }

  resolve(path: string): string {
    return this.disk.resolve(path);
  }

  begin(): void {
    this.#read.clear();
    this.disk.begin();
  }

  onChange(listener: () => void): void {
    this.disk.onChange(listener);
  }

  /** Of a policy that begins with the file `located`. Call it once for each load: it keeps nothing. */
  take(located: string): string {
    const files = [...this.#read].map(([path, bytes]): [string, string] => [path, bytes.toString("base64")]);
    this.#read.clear();
    return JSON.stringify({ version: 1, located, files } satisfies Kept);
  }
}

const failure = (code: string, path: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: ${path}`), { code });

function filesIn(kept: string): { located: string; files: ReadonlyMap<string, Buffer> } | undefined {
  try {
    const { version, located, files } = Object(JSON.parse(kept)) as Partial<Kept>;
    if (version !== 1 || typeof located !== "string" || files === undefined) return undefined;
    return { located, files: new Map(files.map(([path, content]) => [path, Buffer.from(content, "base64")])) };
  } catch {
    return undefined;
  }
}

/** A disk with kept files alone, and the one that their policy begins with. Undefined if the text is not such a list. */
export function diskOf(kept: string): { located: string; disk: PolicyDisk } | undefined {
  const { located, files } = filesIn(kept) ?? {};
  if (located === undefined || files === undefined) return undefined;
  const times = { dev: 0, ino: 0, mtimeMs: 0, ctimeMs: 0, isDirectory: () => false };
  const disk: PolicyDisk = {
    ...OWN_DISK,
    stat(path) {
      const bytes = files.get(path);
      return bytes === undefined ? undefined : { ...times, size: bytes.length };
    },
    read(path) {
      const bytes = files.get(path);
      if (bytes === undefined) throw failure("ENOENT", path);
      return bytes;
    },
    resolve: (path) => path,
  };
  return { located, disk };
}
