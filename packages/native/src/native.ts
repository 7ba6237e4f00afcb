/** The addon as `Native` describes it. */
import type { Native } from "./binding.js";
import { raw } from "./raw.js";

export const native: Native = {
  ...raw,
  pread: (fd, bytes, range, flags) => raw.pread(fd, bytes, range.offset, range.length, range.position, flags),
  pwrite: (fd, bytes, range, flags) => raw.pwrite(fd, bytes, range.offset, range.length, range.position, flags),
  preadAsync: (fd, bytes, range, flags) => raw.preadAsync(fd, bytes, range.offset, range.length, range.position, flags),
  pwriteAsync: (fd, bytes, range, flags) => raw.pwriteAsync(fd, bytes, range.offset, range.length, range.position, flags),
  utimensat: (dirfd, name, times, flags) =>
    raw.utimensat(dirfd, name, flags, times.atimeSec, times.atimeNsec, times.mtimeSec, times.mtimeNsec),
};
