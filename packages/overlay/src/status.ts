/** The status of the overlay. */
import type { LayerStatus, OverlayStatus } from "./contract/config.js";
import type { OverlayContext } from "./overlay-context.js";
import { probeLayer } from "./io/probe-layer.js";
import { fileSystemName } from "./layer/file-system-name.js";
import type { HostLayer } from "./layer/host-layer.js";
import { sys } from "./layer/system-calls.js";

const numbers = new Float64Array(12);
const FLAGS_AT = 11;
/** ST_ flags of statfs(2) (include/linux/statfs.h). */
const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [0x1, "ro"],
  [0x2, "nosuid"],
  [0x4, "nodev"],
  [0x8, "noexec"],
  [0x400, "noatime"],
  [0x800, "nodiratime"],
  [0x1000, "relatime"],
];

export function overlayStatus(core: OverlayContext): OverlayStatus {
  return {
    layers: [...core.layers, ...core.dataLayers].map((layer) => layerStatus(core, layer)),
    nodes: core.nodes.size,
    nodeObjects: core.nodes.objects,
    openFiles: core.handles.files,
    openDirectories: core.handles.directories,
    directoryFds: core.fds.size,
    copyUps: core.copyUps,
    staleReopens: core.staleReopens,
    copyUpsUnderWay: [...core.copyUpJobs.values()].map(({ path, sizeBytes, copiedBytes, startedMs }) => {
      return { path, sizeBytes, copiedBytes, elapsedMs: Math.round(performance.now() - startedMs) };
    }),
    index: core.linkIndex === undefined ? { on: false, reason: core.noIndex } : { on: true },
  };
}

function layerStatus(core: OverlayContext, layer: HostLayer): LayerStatus {
  const magic = sys.fstatfs(layer.root.fd, numbers) < 0 ? 0 : (numbers[0] as number);
  const fileSystem = fileSystemName(magic);
  if (layer.eligibility.state === "unknown") probeLayer(core, layer);
  return {
    name: layer.isOurs && !layer.writable ? `${layer.name} (frozen)` : layer.name,
    path: layer.spec.path,
    fileSystem,
    flags: FLAG_NAMES.flatMap(([bit, name]) => (((numbers[FLAGS_AT] as number) & bit) !== 0 ? [name] : [])),
    stackDepth: fileSystem === "overlay" || fileSystem === "fuse" ? undefined : 0,
    passthrough: eligibility(core, layer),
  };
}

function eligibility(core: OverlayContext, layer: HostLayer): LayerStatus["passthrough"] {
  if (core.port.negotiated.maxStackDepth === 0) return { eligible: false, reason: "passthrough was not agreed with the kernel" };
  switch (layer.eligibility.state) {
    case "eligible":
      return { eligible: true };
    case "unknown":
      return { eligible: false, untried: true, reason: "not tried yet: no regular file was found to try with" };
    case "ineligible":
      return {
        eligible: false,
        reason: "its file system is stacked too deep (ELOOP): mount with --max-stack-depth 2, or use an unstacked one",
      };
  }
}
