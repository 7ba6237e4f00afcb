/**
 * A merged listing as bytes. It is stored for a process that takes over if a reader has not seen all of it, since the reader
 * was told positions in this very list.
 */
import { closeFd, readWhole, SEAL, sys, upkeep } from "../layer/system-calls.js";
import { Listing } from "../merge/listing.js";

/** type, may its inode number come from an origin, the name's length (two bytes), the inode number (eight); then the name. */
const HEAD = 12;

/** A memory file's descriptor, or the negative errno. */
export function writeListing(listing: Listing): number {
  const { names, types, ours, inoLo, inoHi } = listing;
  const bytes = Buffer.alloc(names.reduce((sum, name) => sum + HEAD + name.length, 0));
  let at = 0;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    bytes[at] = types[i] as number;
    bytes[at + 1] = ours[i] === true ? 1 : 0;
    bytes.writeUInt16LE(name.length, at + 2);
    bytes.writeUInt32LE(inoLo[i] as number, at + 4);
    bytes.writeUInt32LE(inoHi[i] as number, at + 8);
    bytes.write(name, at + HEAD, "latin1");
    at += HEAD + name.length;
  }
  const fd = sys.memoryFile("sluice-listing");
  const written = fd < 0 ? fd : upkeep.pwrite(fd, bytes, { offset: 0, length: bytes.length, position: 0 }, 0);
  // The keeper takes no memory that may become another.
  if (written === bytes.length && sys.addSeals(fd, SEAL.GROW | SEAL.SHRINK | SEAL.WRITE) >= 0) return fd;
  if (fd >= 0) closeFd(fd);
  return Math.min(written, -1);
}

/** Undefined if it cannot be read as a whole. */
export function readListingFrom(fd: number): Listing | undefined {
  const bytes = readWhole(fd, Number.MAX_SAFE_INTEGER);
  if (bytes === undefined) return undefined;
  const listing = new Listing();
  for (let at = 0; at + HEAD <= bytes.length; ) {
    const length = bytes.readUInt16LE(at + 2);
    listing.names.push(bytes.toString("latin1", at + HEAD, at + HEAD + length));
    listing.types.push(bytes[at] as number);
    listing.ours.push(bytes[at + 1] === 1);
    listing.inoLo.push(bytes.readUInt32LE(at + 4));
    listing.inoHi.push(bytes.readUInt32LE(at + 8));
    at += HEAD + length;
  }
  return listing;
}
