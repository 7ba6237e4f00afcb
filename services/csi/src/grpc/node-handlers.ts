/** The Node service: the kubelet of this node publishes and unpublishes volumes. */
import type { StatsFs } from "node:fs";
import type { Logger } from "@sluice/runtime";
import { invalid } from "../csi-error.js";
import * as csi from "../gen/csi/v1/csi.js";
import type { NodeVolumes, Published, Usage } from "../volumes/node-volumes.js";
import { callHandler } from "./call-handler.js";
import { mountOf } from "./capability.js";

/** As a host service has it. */
const MAX_VOLUMES = 128n;
const MAX_ID_BYTES = 128;

function checkId(id: string): void {
  if (id === "") throw invalid("volume id is missing");
  if (Buffer.byteLength(id) > MAX_ID_BYTES) throw invalid("volume id is too long");
}

function publishedOf(request: csi.NodePublishVolumeRequest): Published {
  checkId(request.volumeId);
  const { group, flags, readOnly } = mountOf(request.volumeCapability);
  const options = [request.volumeContext["options"], ...flags].filter((words) => words !== undefined && words !== "");
  const context = options.length === 0 ? request.volumeContext : { ...request.volumeContext, options: options.join(",") };
  return { target: request.targetPath, context, readOnly: request.readonly || readOnly, group };
}

const whole = (value: number): bigint => BigInt(Math.max(0, Math.trunc(value)));

function spaceUsage({ bsize, blocks, bfree, bavail, files, ffree }: StatsFs): csi.VolumeUsage[] {
  const bytes = { available: whole(bavail * bsize), total: whole(blocks * bsize), used: whole((blocks - bfree) * bsize) };
  const inodes = { available: whole(ffree), total: whole(files), used: whole(files - ffree) };
  return [
    { ...bytes, unit: csi.VolumeUsage_Unit.BYTES },
    { ...inodes, unit: csi.VolumeUsage_Unit.INODES },
  ];
}

function statsOf(usage: Usage): csi.NodeGetVolumeStatsResponse {
  if (usage.kind === "abnormal") return { usage: [], volumeCondition: { abnormal: true, message: usage.message } };
  return { usage: spaceUsage(usage.space), volumeCondition: { abnormal: false, message: "the mount serves" } };
}

function nodeCapabilities(): csi.NodeServiceCapability[] {
  const { GET_VOLUME_STATS, VOLUME_CONDITION, VOLUME_MOUNT_GROUP } = csi.NodeServiceCapability_RPC_Type;
  return [GET_VOLUME_STATS, VOLUME_CONDITION, VOLUME_MOUNT_GROUP].map((type) => ({ type: { $case: "rpc", value: { type } } }));
}

export function nodeHandlers(log: Logger, nodeId: string, volumes: NodeVolumes): csi.NodeServer {
  return {
    nodePublishVolume: callHandler(log, "NodePublishVolume", async (request: csi.NodePublishVolumeRequest) => {
      await volumes.publish(publishedOf(request));
      return {};
    }),
    nodeUnpublishVolume: callHandler(log, "NodeUnpublishVolume", async ({ volumeId, targetPath }: csi.NodeUnpublishVolumeRequest) => {
      checkId(volumeId);
      await volumes.unpublish(targetPath);
      return {};
    }),
    nodeGetVolumeStats: callHandler(log, "NodeGetVolumeStats", async ({ volumeId, volumePath }: csi.NodeGetVolumeStatsRequest) => {
      checkId(volumeId);
      return statsOf(await volumes.usage(volumePath));
    }),
    nodeGetCapabilities: callHandler(log, "NodeGetCapabilities", () => ({ capabilities: nodeCapabilities() })),
    nodeGetInfo: callHandler(log, "NodeGetInfo", () => ({ nodeId, maxVolumesPerNode: MAX_VOLUMES, accessibleTopology: undefined })),
  };
}
