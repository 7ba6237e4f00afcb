/** Unmounts for an ordinary user, by root's program for that (fusermount3): it unmounts the FUSE mounts of its caller. */

const HELPER_MS = 10_000;
/** PATH may name directories of a project, whose programs would run outside of its sandbox. */
const HELPER_PATH = "/usr/local/bin:/usr/bin:/bin:/run/wrappers/bin";

/** `path` is the real path of a mount. A lazy unmount detaches it, although it is in use. */
export function unmountForUser(path: string, { lazy }: { lazy: boolean }): "done" | "busy" | "refused" {
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const words = ["-u", ...(lazy ? ["-z"] : []), "--", path];
  const options = { encoding: "utf8", timeout: HELPER_MS, env: { PATH: HELPER_PATH, LC_ALL: "C" } } as const;
  const { status, stderr } = spawnSync("fusermount3", words, options);
  if (status === 0) return "done";
  return /busy/i.test(stderr) ? "busy" : "refused";
}
