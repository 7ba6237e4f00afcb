/**
 * Calls back when the policy may have changed, for sessions that are not asking anything just now. Directories are
 * watched, not files: editors and ConfigMaps replace a file by renaming. The interval is for file systems without inotify.
 */
import { type FSWatcher, watch } from "node:fs";

const DEBOUNCE_MS = 20;
const POLL_MS = 1_000;

export function watchPolicy(directories: readonly string[], onHint: () => void): { close(): void } {
  let pending: NodeJS.Timeout | undefined;
  const hint = (): void => {
    pending ??= setTimeout(() => {
      pending = undefined;
      onHint();
    }, DEBOUNCE_MS).unref();
  };
  const watchers = directories.flatMap((directory): FSWatcher[] => {
    try {
      // A watch that breaks later leaves the interval, too.
      return [watch(directory, { persistent: false }, hint).on("error", () => undefined)];
    } catch {
      return [];
    }
  });
  const poll = setInterval(onHint, POLL_MS).unref();
  return {
    close() {
      clearInterval(poll);
      clearTimeout(pending);
      for (const watcher of watchers) watcher.close();
    },
  };
}
