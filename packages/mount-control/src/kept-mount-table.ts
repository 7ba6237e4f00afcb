/** The mount table of a process that needs it for each of many mounts: it is read again only after a change. */
import { openSync, readSync } from "node:fs";
import { native, POLL } from "@sluice/native";
import { MOUNT_TABLE, readTableBy } from "./mount-table.js";

const CHUNK_BYTES = 64 << 10;

/** The text of the table at every call. */
export function keptTable(): () => string {
  const fd = openSync(MOUNT_TABLE, "r");
  let text: string | undefined;
  const read = (): string => {
    const chunks: Buffer[] = [];
    for (let at = 0; ; ) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const count = readSync(fd, chunk, 0, CHUNK_BYTES, at);
      if (count === 0) return Buffer.concat(chunks).toString("latin1");
      chunks.push(chunk.subarray(0, count));
      at += count;
    }
  };
  return () => {
    // The kernel tells each descriptor of a change once (fs/namespace.c, mounts_poll). Asked first: a change meanwhile counts for the next call.
    const isChanged = (native.pollNow(fd, POLL.PRI, 0) & (POLL.PRI | POLL.ERR)) !== 0;
    if (isChanged || text === undefined) text = read();
    return text;
  };
}

/** For a process that stays in its mount namespace, and closes no descriptor that it does not know. */
export function keepMountTable(): void {
  readTableBy(keptTable());
}
