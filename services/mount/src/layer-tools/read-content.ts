/** The bytes of a layer's file, in pieces. */
import { native } from "@sluice/native";
import { errnoName } from "@sluice/vfs";
import { failed } from "@sluice/runtime/cli";
import type { LayerStack, Place } from "./layer-stack.js";

const PIECE_BYTES = 1 << 20;

/** Exactly `size` bytes. Throws where the file became shorter meanwhile. */
export async function* readContent(stack: LayerStack, place: Place, size: bigint): AsyncGenerator<Buffer> {
  const fd = stack.openData(place);
  try {
    for (let at = 0n; at < size; ) {
      const left = size - at;
      const length = left < BigInt(PIECE_BYTES) ? Number(left) : PIECE_BYTES;
      // A new one each time: the piece before may still wait to be written.
      const bytes = Buffer.allocUnsafe(length);
      const read = await native.preadAsync(fd, bytes, { offset: 0, length, position: at }, 0);
      if (read < 0) throw failed(stack.shown(place), `it cannot be read (${errnoName(-read)})`, "check its disk");
      if (read === 0) throw failed(stack.shown(place), "it became shorter while it was read", "do not change the layers meanwhile");
      yield bytes.subarray(0, read);
      at += BigInt(read);
    }
  } finally {
    native.close(fd);
  }
}
