/** Opens the record of `--record-base`: see packages/base-record. */
import { BaseRecorder } from "@sluice/base-record";
import { native, toBytes } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import type { MountContext } from "../serve/mount-context.js";

/** @throws CliError */
export function openBaseRecord({ config: { recordBase }, undo }: MountContext): BaseRecorder | undefined {
  if (recordBase === undefined) return undefined;
  const refuse = (status: number): Error =>
    unfit(recordBase, `the record of the base cannot be opened (${errnoName(-status)})`, "name a directory that you alone can write");
  const made = native.mkdirat(AT.FDCWD, toBytes(recordBase), 0o700);
  if (made < 0 && made !== -Errno.EEXIST) throw refuse(made);
  const fd = native.openat(AT.FDCWD, toBytes(recordBase), O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0);
  if (fd < 0) throw refuse(fd);
  try {
    const recorder = new BaseRecorder(fd);
    undo.push("close the record of the base", () => recorder.close());
    return recorder;
  } catch (error) {
    if (error instanceof RangeError) throw refuse(Number(error.message));
    throw error;
  }
}
