/**
 * The Controller service: volumes of a StorageClass. A volume is its attributes, those of the class, so nothing is made here: no call needs
 * a node, state or the API of the cluster.
 */
import { status } from "@grpc/grpc-js";
import type { Logger } from "@sluice/runtime";
import { CsiError, invalid } from "../csi-error.js";
import * as csi from "../gen/csi/v1/csi.js";
import { callHandler } from "./call-handler.js";
import { objectionTo } from "./capability.js";

const MAX_NAME_BYTES = 128;

function createVolume(request: csi.CreateVolumeRequest): csi.CreateVolumeResponse {
  const { name, volumeCapabilities, parameters, capacityRange, volumeContentSource } = request;
  if (name === "" || Buffer.byteLength(name) > MAX_NAME_BYTES) throw invalid("name: it is empty or too long");
  if (volumeCapabilities.length === 0) throw invalid("volume capabilities are missing");
  const objection = volumeCapabilities.map(objectionTo).find((each) => each !== undefined);
  if (objection !== undefined) throw invalid(objection);
  if (volumeContentSource !== undefined) throw invalid("a volume cannot begin as a copy of another one: name a source");
  // With upper: ephemeral, the requested size is the limit that the volume gets on each node.
  const size = capacityRange?.requiredBytes ?? 0n;
  const limited = parameters["upper"] === "ephemeral" && parameters["maxSizeBytes"] === undefined && size > 0n;
  const volumeContext = limited ? { ...parameters, maxSizeBytes: String(size) } : parameters;
  return { volume: { volumeId: name, capacityBytes: size, volumeContext } };
}

function validate(request: csi.ValidateVolumeCapabilitiesRequest): csi.ValidateVolumeCapabilitiesResponse {
  const { volumeId, volumeContext, volumeCapabilities, parameters } = request;
  if (volumeId === "") throw invalid("volume id is missing");
  if (volumeCapabilities.length === 0) throw invalid("volume capabilities are missing");
  const message = volumeCapabilities.map(objectionTo).find((each) => each !== undefined) ?? "";
  return { confirmed: message === "" ? { volumeContext, volumeCapabilities, parameters } : undefined, message };
}

export function controllerHandlers(log: Logger): csi.ControllerServer {
  const { CREATE_DELETE_VOLUME } = csi.ControllerServiceCapability_RPC_Type;
  const capabilities: csi.ControllerServiceCapability[] = [{ type: { $case: "rpc", value: { type: CREATE_DELETE_VOLUME } } }];
  return {
    createVolume: callHandler(log, "CreateVolume", createVolume),
    deleteVolume: callHandler(log, "DeleteVolume", ({ volumeId }: csi.DeleteVolumeRequest) => {
      if (volumeId === "") throw new CsiError(status.INVALID_ARGUMENT, "volume id is missing");
      return {};
    }),
    validateVolumeCapabilities: callHandler(log, "ValidateVolumeCapabilities", validate),
    controllerGetCapabilities: callHandler(log, "ControllerGetCapabilities", () => ({ capabilities })),
  };
}
