/**
 * Gets the layers of a mount from its server: descriptors of its private clones, which no mount covers, not even the mount itself. The
 * server passes them to root alone.
 */
import type { Socket } from "node:net";
import { native } from "@sluice/native";
import { Errno } from "@sluice/vfs";
import { failed, unfit } from "@sluice/runtime/cli";
import { connectControl, noDaemon } from "./control-client.js";
import { type ControlLine, type LayersItem, MAX_LINE_BYTES } from "./control-protocol.js";
import { descriptorOf, peerUid } from "./peer.js";
import { realMountpoint } from "./run-directory.js";

const ANSWER_TIMEOUT_MS = 30_000;
const FDS_PER_RECORD = 253;
const COUNT_SHIFT = 2 ** 16;
const TRUNCATED = 2 ** 32;
const PIECE_BYTES = 65_535;

export interface MountLayers extends LayersItem {
  /** The upper layer, if there is one, then the lower ones, top first, then data-only ones; empty if the server told only their names. */
  fds: readonly number[];
}

interface Received {
  text: string;
  fds: number[];
}

/** Receives a piece of the answer. @returns false at the end of the connection */
function receive(fd: number, into: Received, mountpoint: string): boolean {
  const bytes = Buffer.alloc(PIECE_BYTES);
  const fds = new Int32Array(FDS_PER_RECORD);
  const result = native.receiveMessage(fd, bytes, fds, ANSWER_TIMEOUT_MS);
  if (result === -Errno.ETIMEDOUT) throw failed(mountpoint, "the daemon does not answer (ETIMEDOUT)", "see whether it is stopped");
  if (result <= 0) return false;
  const count = Math.floor((result % TRUNCATED) / COUNT_SHIFT);
  into.fds.push(...fds.subarray(0, count));
  into.text += bytes.toString("latin1", 0, result % COUNT_SHIFT);
  if (into.text.length > MAX_LINE_BYTES) throw failed(mountpoint, "the daemon's answer is too long", "ask a daemon of the same version");
  return true;
}

function linesOf({ text }: Received, mountpoint: string): ControlLine[] {
  try {
    const lines = Buffer.from(text, "latin1").toString("utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as ControlLine);
  } catch {
    throw failed(mountpoint, "the process that answers is not a Sluice daemon (EPROTO)", "check --control");
  }
}

function converse(socket: Socket, mountpoint: string): MountLayers {
  const received: Received = { text: "", fds: [] };
  socket.write(`${JSON.stringify({ method: "layers" })}\n`);
  while (receive(descriptorOf(socket), received, mountpoint));
  const lines = linesOf(received, mountpoint);
  const problem = lines.find((line) => "error" in line);
  if (problem !== undefined) throw failed(mountpoint, problem.error, "see the daemon's log");
  const items = lines.flatMap((line) => ("item" in line ? [line.item as Partial<LayersItem>] : []));
  const item = items.find(({ lowers }) => lowers !== undefined);
  if (item === undefined || !lines.some((line) => "done" in line))
    throw failed(mountpoint, "the daemon ended before it answered (EPIPE)", "see its log");
  // A server of an earlier version does not name data-only layers.
  return { dataLowers: [], ...(item as Omit<LayersItem, "dataLowers">), fds: received.fds };
}

/**
 * Root takes no layers from another user's server, because root would open them with rights that the server lacks. @throws CliError
 */
export async function askLayers(mountpoint: string, control: string | undefined): Promise<MountLayers> {
  const socket = await connectControl(mountpoint, control);
  if (socket === undefined) throw noDaemon(mountpoint, control);
  try {
    const uid = peerUid(socket);
    if (process.geteuid?.() === 0 && uid !== 0) {
      throw unfit(
        mountpoint,
        `its server runs as uid ${uid}, and root takes no layers from it (EPERM)`,
        "run this as that user, or name the layers with --upper and --lower",
      );
    }
    const layers = converse(socket, mountpoint);
    if (control === undefined && layers.mountpoint !== realMountpoint(mountpoint))
      throw unfit(mountpoint, `the daemon of another mount answers (${layers.mountpoint})`, "name that mount point, or give --control");
    return layers;
  } finally {
    socket.destroy();
  }
}
