/**
 * Docker's requests for volumes. A volume is mounted from its first use until the last use ends.
 * Requests for one volume run one after another.
 */
import { chmodSync, chownSync, closeSync, constants, existsSync, mkdirSync, openSync, renameSync, rmdirSync, statSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { removeTree, toBytes } from "@sluice/native";
import { escapeName, type Logger } from "@sluice/runtime";
import { isMounted, type MountCommand } from "./sluice-command.js";
import {
  checkVolume,
  mountArguments,
  pathsOf,
  topmostLower,
  VolumeError,
  type VolumeOptions,
  type VolumePaths,
  volumesDirectory,
} from "./volume-options.js";
import type { Volume, VolumeStore } from "./volume-store.js";

export interface VolumesParts {
  root: string;
  /** The host's root directory: paths in options are the host's. */
  host: string;
  store: VolumeStore;
  command: MountCommand;
  log: Logger;
}

export interface ShownVolume {
  Name: string;
  Mountpoint: string;
  CreatedAt: string;
  Status: Record<string, unknown>;
}

const same = (one: VolumeOptions, other: VolumeOptions): boolean =>
  Object.keys(one).length === Object.keys(other).length && Object.entries(one).every(([key, value]) => other[key] === value);

/**
 * Creates the layers of `upper=auto`. The tree's root is the upper layer's: with the owner and mode of the layer below, whoever could write
 * there can write here. It gets its name when it has them, so an attempt that was cut off is repeated.
 */
function makeLayers({ upper, work }: VolumePaths, lower: string): void {
  mkdirSync(work, { recursive: true, mode: 0o755 });
  if (existsSync(upper)) return;
  const unnamed = `${upper}.new`;
  mkdirSync(unnamed, { recursive: true, mode: 0o700 });
  const { uid, gid, mode } = statSync(lower);
  chownSync(unnamed, uid, gid);
  chmodSync(unnamed, mode & 0o7777);
  renameSync(unnamed, upper);
}

/** A container's trees are as deep, and named, as its users like. @throws VolumeError */
function discard(all: string, name: string): void {
  const fd = openSync(all, constants.O_RDONLY | constants.O_DIRECTORY);
  const { status, path } = removeTree(fd, toBytes(name));
  closeSync(fd);
  if (status < 0) throw new VolumeError(`${escapeName(path)} in ${all} cannot be removed (${getSystemErrorName(status)}): remove it`);
}

export class Volumes {
  private readonly queues = new Map<string, Promise<unknown>>();

  constructor(private readonly parts: VolumesParts) {
    // Docker binds what is below by root's own right. Nobody else of the host is to come past the policy into what upper=auto holds.
    const all = volumesDirectory(parts.root);
    mkdirSync(all, { recursive: true });
    chmodSync(all, 0o700);
  }

  create(name: string, options: VolumeOptions): Promise<void> {
    return this.inTurn(name, async () => {
      checkVolume(name, options, this.parts.host);
      const { store } = this.parts;
      const known = store.volumes.get(name);
      if (known !== undefined) {
        // Docker asks again after a restart of its own.
        if (same(known.options, options)) return;
        throw new VolumeError(`there is a volume ${name} with other options: remove it first`);
      }
      store.set({ name, options, users: new Set(), createdAt: new Date().toISOString() });
    });
  }

  remove(name: string): Promise<void> {
    return this.inTurn(name, async () => {
      const { store, root } = this.parts;
      const volume = this.known(name);
      if (volume.users.size > 0) throw new VolumeError(`volume ${name} is in use by ${volume.users.size} containers`);
      await this.freeMountpoint(pathsOf(root, name).mountpoint);
      // The mount point, the log, and the layers of upper=auto. Layers that the user named belong to the user. First of all: files of a
      // volume that is on the list no more would be in the next one of its name.
      discard(volumesDirectory(root), name);
      store.delete(name);
    });
  }

  mount(name: string, user: string): Promise<string> {
    return this.inTurn(name, async () => {
      const volume = this.known(name);
      const mountpoint = await this.serve(volume);
      try {
        this.parts.store.set({ ...volume, users: new Set(volume.users).add(user) });
      } catch (error) {
        // Docker takes it for unused, and never asks for its end.
        await this.reconcile(volume);
        throw error;
      }
      return mountpoint;
    });
  }

  unmount(name: string, user: string): Promise<void> {
    return this.inTurn(name, async () => {
      const volume = this.known(name);
      const { root, store, command, log } = this.parts;
      const users = new Set(volume.users);
      if (!users.delete(user)) return;
      const problem = store.release(volume, users);
      if (problem !== undefined) log.error({ err: problem, volume: name }, "the end of a use is not in the list of volumes yet");
      if (users.size === 0) await command.unmount(pathsOf(root, name).mountpoint);
    });
  }

  get(name: string): ShownVolume {
    return this.shown(this.known(name));
  }

  list(): ShownVolume[] {
    return [...this.parts.store.volumes.values()].map((volume) => this.shown(volume));
  }

  /**
   * After a start: volumes in use whose mount has died meanwhile are mounted again, and a mount that nobody uses is taken
   * away: the plugin before died between mounting and writing down for whom, and Docker never heard of it.
   */
  async recover(): Promise<void> {
    for (const volume of this.parts.store.volumes.values()) {
      await this.inTurn(volume.name, () => this.reconcile(volume)).catch((error: unknown) =>
        this.parts.log.error({ err: error, volume: volume.name }, "a volume cannot be brought into order"),
      );
    }
  }

  private async reconcile(volume: Volume): Promise<void> {
    const { mountpoint } = pathsOf(this.parts.root, volume.name);
    if (volume.users.size > 0) await this.serve(volume);
    else if (isMounted(mountpoint)) await this.parts.command.unmount(mountpoint);
  }

  private async serve({ name, options, users }: Volume): Promise<string> {
    const { root, host, command, log } = this.parts;
    const paths = pathsOf(root, name);
    // The mount command itself replaces a dead mount; the plugin takes over a live one.
    if ((users.size > 0 || isMounted(paths.mountpoint)) && (await command.serves(paths.mountpoint))) return paths.mountpoint;
    if (options["upper"] === "auto") makeLayers(paths, topmostLower(options, host));
    await command.mount(mountArguments(name, options, paths, host), paths);
    log.info({ volume: name, mountpoint: paths.mountpoint }, "volume is mounted");
    return paths.mountpoint;
  }

  /** An unused mount may still be there: a removal below it would remove files from its layers. */
  private async freeMountpoint(mountpoint: string): Promise<void> {
    const codeOfRemoval = (): string | undefined => {
      try {
        rmdirSync(mountpoint);
        return undefined;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    if (codeOfRemoval() !== "EBUSY") return;
    await this.parts.command.unmount(mountpoint);
    if (codeOfRemoval() === "EBUSY") throw new VolumeError(`something is still mounted on ${mountpoint}: unmount it first`);
  }

  private known(name: string): Volume {
    const volume = this.parts.store.volumes.get(name);
    if (volume === undefined) throw new VolumeError(`there is no volume ${name}`);
    return volume;
  }

  private shown({ name, options, users, createdAt }: Volume): ShownVolume {
    const { mountpoint, log } = pathsOf(this.parts.root, name);
    return { Name: name, Mountpoint: mountpoint, CreatedAt: createdAt, Status: { options, users: users.size, log } };
  }

  private inTurn<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.queues.get(name) ?? Promise.resolve();
    const result = before.then(work, work);
    const finished: Promise<void> = result.then(
      () => undefined,
      () => undefined,
    );
    void finished.then(() => {
      if (this.queues.get(name) === finished) this.queues.delete(name);
    });
    this.queues.set(name, finished);
    return result;
  }
}
