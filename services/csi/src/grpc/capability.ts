/** Checks how a volume is to be accessed. */
import { VolumeCapability_AccessMode_Mode, type VolumeCapability } from "../gen/csi/v1/csi.js";
import { invalid } from "../csi-error.js";

/** As CSI limits the whole field. */
const MAX_FLAGS_BYTES = 4_096;

/** The reason why there can be no such volume; undefined: there can. */
export function objectionTo(capability: VolumeCapability | undefined): string | undefined {
  if (capability?.accessType === undefined) return "volume capability is missing";
  if (capability.accessType.$case !== "mount") return "a volume is a file system: use volumeMode: Filesystem";
  const mode = capability.accessMode?.mode ?? VolumeCapability_AccessMode_Mode.UNKNOWN;
  if (mode === VolumeCapability_AccessMode_Mode.UNKNOWN) return "access mode is missing";
  if (mode < 0 || mode > VolumeCapability_AccessMode_Mode.SINGLE_NODE_MULTI_WRITER) return "access mode is unknown";
  const { mountFlags } = capability.accessType.value;
  if (mountFlags.join(",").length > MAX_FLAGS_BYTES) return "mount options are too long";
  return undefined;
}

/** @throws CsiError */
export function mountOf(capability: VolumeCapability | undefined): { group: string; flags: readonly string[]; readOnly: boolean } {
  const objection = objectionTo(capability);
  if (objection !== undefined || capability?.accessType?.$case !== "mount") throw invalid(objection ?? "volume capability is missing");
  const { volumeMountGroup: group, mountFlags: flags } = capability.accessType.value;
  const { SINGLE_NODE_READER_ONLY, MULTI_NODE_READER_ONLY } = VolumeCapability_AccessMode_Mode;
  const mode = capability.accessMode?.mode;
  return { group, flags, readOnly: mode === SINGLE_NODE_READER_ONLY || mode === MULTI_NODE_READER_ONLY };
}
