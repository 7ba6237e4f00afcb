/** Makes the stack of layers from the configuration, and refuses one that could not be served as it was asked for. */
import { Attr, Errno, FsError } from "@sluice/vfs";
import type { LayerSpec, OverlayConfig } from "./contract/config.js";
import { HostLayer } from "./layer/host-layer.js";
import { statFd } from "./layer/system-calls.js";
import { Traps } from "./layer/traps.js";

export interface Stack {
  /** Top first, the upper layer before the lower ones. */
  layers: HostLayer[];
  dataLayers: HostLayer[];
  /** Of the layers and the work directory. */
  traps: Traps;
}

/** The name for policies. */
const UPPER = "upper";

/** @throws FsError if a layer cannot be used */
export function stackLayers(config: OverlayConfig): Stack {
  const former = config.formerUppers;
  const specs: [string, LayerSpec, boolean][] = config.lowers.map((spec, i) => [i < former ? UPPER : `lower${i - former}`, spec, false]);
  if (config.upper !== undefined) specs.unshift([UPPER, config.upper, true]);
  const merged = specs.length;
  specs.push(...config.dataLowers.map((spec, i): [string, LayerSpec, boolean] => [`data${i}`, spec, false]));
  const devices: string[] = [];
  const layers = specs.map(([name, spec, writable], index) => {
    const layer = new HostLayer(index, name, spec, writable);
    const device = deviceOf(layer);
    if (!devices.includes(device)) devices.push(device);
    if (!config.originUuid) layer.ignoreUuid();
    layer.deviceIndex = devices.indexOf(device);
    return layer;
  });
  const traps = new Traps();
  for (const { root } of layers) traps.set(root.fd);
  if (config.work !== undefined) traps.set(config.work.rootFd);
  const stack = { layers: layers.slice(0, merged), dataLayers: layers.slice(merged), traps };
  if (config.xino === "off" && stack.layers.some((layer) => layer.deviceIndex !== 0)) {
    throw new FsError(Errno.EINVAL, "xino=off cannot be had over layers on several file systems: one mount shows one device number");
  }
  return stack;
}

const attr = new Attr();

function deviceOf(layer: HostLayer): string {
  const status = statFd(layer.root.fd, attr);
  if (status < 0) throw new FsError(-status, `layer ${layer.name}: cannot be read`);
  return `${attr.devMajor}:${attr.devMinor}`;
}
