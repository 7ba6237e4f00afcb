/** A file of 1 GiB read and memory-mapped, one of 256 MiB copied up by a write of a page, one rewritten. */
import { createHash } from "node:crypto";
import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type Mapping, native } from "@sluice/native";
import { FILES, MIB } from "../demo-paths.js";
import type { LargeFileOutput, ViewInput } from "./task-table.js";

const seconds = (since: number): number => (performance.now() - since) / 1000;
const WRITTEN_BYTES = 512 * MIB;
const buffer = Buffer.allocUnsafe(4 * MIB);

function digest(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOATIME);
  const hash = createHash("sha256");
  for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer)) hash.update(buffer.subarray(0, count));
  closeSync(fd);
  return hash.digest("hex");
}

function map(fd: number, sizeBytes: number, writable: boolean): Mapping {
  const mapping = native.mapShared(fd, sizeBytes, writable);
  if (typeof mapping === "number") throw new Error(`mmap: errno ${-mapping}`);
  return mapping;
}

/** Compares pages of a mapping with what read(2) gives at the same place. */
function checkMapping(path: string, sizeBytes: number): void {
  const fd = openSync(path, constants.O_RDONLY);
  const mapping = map(fd, sizeBytes, false);
  const page = Buffer.alloc(4096);
  for (let offset = 0; offset < sizeBytes; offset += 16 * MIB) {
    readSync(fd, page, 0, page.length, offset);
    if (!page.equals(mapping.bytes.subarray(offset, offset + page.length))) throw new Error(`${path}: mmap and read differ at ${offset}`);
  }
  mapping.unmap();
  closeSync(fd);
}

/** The first write copies the whole file up; then a page written through a shared mapping is read back by read(2). */
function editByMapping(path: string, sizeBytes: number): number {
  const start = performance.now();
  const fd = openSync(path, constants.O_RDWR);
  writeSync(fd, Buffer.from("written by pwrite"), 0, 17, 4096);
  const copyUpSeconds = seconds(start);
  const mapping = map(fd, sizeBytes, true);
  mapping.bytes.write("written by mmap", 8192, "latin1");
  const back = Buffer.alloc(15);
  readSync(fd, back, 0, back.length, 8192);
  mapping.unmap();
  fsyncSync(fd);
  closeSync(fd);
  if (back.toString() !== "written by mmap") throw new Error(`${path}: a write through a mapping is not seen by read`);
  return copyUpSeconds;
}

function writeAnew(path: string): number {
  const start = performance.now();
  const fd = openSync(path, "wx");
  for (let offset = 0; offset < WRITTEN_BYTES; offset += buffer.length) writeSync(fd, buffer, 0, buffer.length, offset);
  closeSync(fd);
  return seconds(start);
}

export function useLargeFile({ mountPoint, original }: ViewInput & { original: string }): LargeFileOutput {
  const large = join(mountPoint, FILES.large.path);
  const wanted = digest(original);
  const start = performance.now();
  const found = digest(large);
  const readSeconds = seconds(start);
  if (found !== wanted) throw new Error(`${large}: does not read like the file in the lower layer`);
  checkMapping(large, FILES.large.sizeBytes);
  const copyUpSeconds = editByMapping(join(mountPoint, FILES.editable.path), FILES.editable.sizeBytes);
  const writeSeconds = writeAnew(join(mountPoint, "written.bin"));
  return {
    readBytes: FILES.large.sizeBytes,
    readSeconds,
    writtenBytes: WRITTEN_BYTES,
    writeSeconds,
    copyUpBytes: FILES.editable.sizeBytes,
    copyUpSeconds,
    mappedBytes: FILES.large.sizeBytes + FILES.editable.sizeBytes,
  };
}
