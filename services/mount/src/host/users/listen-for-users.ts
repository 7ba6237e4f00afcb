/** The socket for ordinary users: everybody may connect. Its directory is that of root's socket, which nobody else can write to. */
import { chmodSync, lstatSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { ownPath } from "@sluice/mount-control";
import { native, toBytes } from "@sluice/native";
import { unfit, wrong } from "@sluice/runtime/cli";
import { Errno, errnoName } from "@sluice/vfs";

const BACKLOG = 64;
const EVERYBODY = 0o666;
const EVERYBODY_ENTERS = 0o711;

/** Removes a socket that a dead service left. @throws CliError if another process listens there */
function removeStale(path: string): void {
  const probe = native.seqpacketConnect(toBytes(path));
  if (probe >= 0) native.close(probe);
  if (probe === -Errno.ECONNREFUSED && lstatSync(path).isSocket()) rmSync(path);
  else
    throw unfit(path, "another process listens at the socket for users (EADDRINUSE)", "end it first, or give --socket another directory");
}

export interface UsersSocket {
  /** Listens. */
  fd: number;
  close(): void;
}

/** @throws CliError */
export function listenForUsers(path: string): UsersSocket {
  chmodSync(dirname(path), EVERYBODY_ENTERS);
  let fd = native.seqpacketListen(toBytes(path), EVERYBODY, BACKLOG);
  if (fd === -Errno.EADDRINUSE) {
    removeStale(path);
    fd = native.seqpacketListen(toBytes(path), EVERYBODY, BACKLOG);
  }
  if (fd < 0) throw wrong(path, `the socket for users cannot be made (${errnoName(-fd)})`, "give --socket another directory");
  const remove = ownPath(path, (own) => rmSync(own, { force: true }));
  return {
    fd,
    close: () => {
      remove();
      native.close(fd);
    },
  };
}
