/** A mount without a keeper: the same privileged operations in the server's own process. Nothing survives it. */
import { MNT, native, toBytes } from "@sluice/native";
import type { KernelConnection } from "@sluice/vfs";
import { claimUpper } from "./privileged/claim-upper.js";
import { abortDevice, mountDevice, type MountRequest, unmountDevice } from "./privileged/mount-device.js";
import { UpperInUse } from "./privileged/next-layers.js";
import { closeLayers, openLayers } from "./privileged/open-layers.js";
import type { KeeperLink } from "./keeper-link.js";
import type { MountPlan } from "./mount-plan.js";

/** Mounts; the connection ends with this process. `source` is a byte string. @throws FsError */
export function connectHere(place: MountRequest): KernelConnection {
  const at = mountDevice(place);
  return {
    fuseFd: at.fuseFd,
    negotiated: undefined,
    registrar: undefined,
    unmount: (lazy) => unmountDevice(at, lazy),
    abort: () => abortDevice(at),
    giveUp: () => {
      native.umount2(at.path, MNT.DETACH);
      native.close(at.fuseFd);
    },
  };
}

/** Opens and claims the layers. @throws LayerError if one cannot be used */
export function openInProcess(plan: MountPlan): KeeperLink {
  const { clone, release, ...layers } = openLayers(plan);
  let unclaim: () => void;
  try {
    unclaim = claimUpper(layers.upper, layers.work);
  } catch (error) {
    closeLayers(layers);
    release();
    throw error;
  }
  const upper = new UpperInUse(plan, {
    clone: clone ?? -1,
    letGo: () => {
      unclaim();
      release();
    },
  });
  const letGo = (): void => upper.letGo();
  return {
    keeper: undefined,
    restored: false,
    layers,
    journalFd: undefined,
    stored: new Map(),
    connect: () => connectHere({ ...plan, source: toBytes(plan.source) }),
    store: () => 0,
    drop: () => undefined,
    storeInit: () => undefined,
    ready: () => undefined,
    onDrain: () => undefined,
    handOver: () => undefined,
    onStop: () => undefined,
    openNext: (names) => upper.openNext(names),
    letGo,
    abandon: letGo,
    close: letGo,
  };
}
