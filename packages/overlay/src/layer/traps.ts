/**
 * Directories that must not be met inside the tree: roots of layers, the work directory and its contents. If one is moved into a
 * layer while it is mounted, the tree would contain itself. So a look-up that meets one answers ELOOP, as in the kernel
 * (fs/overlayfs/namei.c ovl_lookup_trap_inode).
 */
import { Attr } from "@sluice/vfs";
import { statFd } from "./system-calls.js";

const attr = new Attr();

function isSame(one: Trap, other: Attr): boolean {
  return one.inoHi === other.words[1] && one.devMajor === other.devMajor && one.devMinor === other.devMinor;
}

interface Trap {
  inoHi: number;
  devMajor: number;
  devMinor: number;
}

export class Traps {
  /** By the low word of the inode number: most look-ups end with one look. */
  readonly #byInoLo = new Map<number, Trap[]>();

  /** Of a directory that is open. */
  set(fd: number): void {
    if (statFd(fd, attr) < 0) return;
    const { devMajor, devMinor, words } = attr;
    const trap = { inoHi: words[1] as number, devMajor, devMinor };
    const known = this.#byInoLo.get(words[0] as number);
    if (known === undefined) this.#byInoLo.set(words[0] as number, [trap]);
    else known.push(trap);
  }

  /** Whether these are the attributes of one. */
  catches(met: Attr): boolean {
    const traps = this.#byInoLo.get(met.words[0] as number);
    if (traps === undefined) return false;
    for (const trap of traps) if (isSame(trap, met)) return true;
    return false;
  }
}
