/**
 * Calls back when the policy may have changed, for sessions that are not asking anything just now. Directories are
 * watched, not files: editors and ConfigMaps replace a file by renaming. The interval is for file systems without inotify.
 */
import { type FSWatcher, watch } from "node:fs";

const DEBOUNCE_MS = 20;
const POLL_MS = 1_000;

type WatchOne = (directory: string, options: { persistent: false }, onEvent: () => void) => FSWatcher;

/**
 * `directories` may become others with each change of the policy: new ones are watched from the next look on, others no more.
 * @param watchOne watches one directory, as watch(2) of Node does
 */
export function watchPolicy(directories: () => readonly string[], onHint: () => void, watchOne: WatchOne = watch): { close(): void } {
  const watchers = new Map<string, FSWatcher | undefined>();
  let pending: NodeJS.Timeout | undefined;
  const hint = (): void => {
    pending ??= setTimeout(() => {
      pending = undefined;
      watchNew();
      onHint();
    }, DEBOUNCE_MS).unref();
  };
  // One event is enough until the next look. libuv reads events until there are none: a program that writes in the directory as fast as this
  // process reads would hold the event loop for as long as it likes.
  const pause = (directory: string): void => {
    watchers.get(directory)?.close();
    watchers.delete(directory);
    hint();
  };
  const watchNew = (): void => {
    const wanted = new Set(directories());
    for (const directory of wanted)
      if (!watchers.has(directory)) watchers.set(directory, watchDirectory(directory, { watchOne, onEvent: () => pause(directory) }));
    for (const [directory, watcher] of watchers) {
      if (wanted.has(directory)) continue;
      watcher?.close();
      watchers.delete(directory);
    }
  };
  watchNew();
  const poll = setInterval(() => {
    watchNew();
    onHint();
  }, POLL_MS).unref();
  return {
    close() {
      clearInterval(poll);
      clearTimeout(pending);
      for (const watcher of watchers.values()) watcher?.close();
    },
  };
}

/** undefined: the interval has to do. A watch that breaks later leaves the interval, too. */
function watchDirectory(directory: string, { watchOne, onEvent }: { watchOne: WatchOne; onEvent: () => void }): FSWatcher | undefined {
  try {
    return watchOne(directory, { persistent: false }, onEvent).on("error", () => undefined);
  } catch {
    return undefined;
  }
}
