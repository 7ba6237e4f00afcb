/** For whoever unmounts by itself, as umount(8) does, and wants the layers' file systems free afterwards. */
import { ask, connectControl } from "./control-client.js";

/**
 * To be called before the mount is gone, while its daemon can be found. The result resolves when nothing of the mount's layers is held
 * any more; undefined where no daemon answers, or where it may not be asked.
 */
export async function untilFreed(mountpoint: string): Promise<(() => Promise<void>) | undefined> {
  try {
    const socket = await connectControl(mountpoint, undefined);
    if (socket === undefined) return undefined;
    const answer = ask(socket, { method: "freed" }, mountpoint).next();
    // Whoever asks does without an answer that does not come.
    const freed = answer.then(
      () => undefined,
      () => undefined,
    );
    return () => freed;
  } catch {
    return undefined;
  }
}
