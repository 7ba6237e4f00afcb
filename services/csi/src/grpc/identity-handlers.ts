/** The Identity service: name, version and abilities of the driver. */
import type { Logger } from "@sluice/runtime";
import { VERSION } from "@sluice/runtime/cli";
import * as csi from "../gen/csi/v1/csi.js";
import { callHandler } from "./call-handler.js";

export function identityHandlers(log: Logger, name: string, controller: boolean): csi.IdentityServer {
  const { CONTROLLER_SERVICE } = csi.PluginCapability_Service_Type;
  const capabilities: csi.PluginCapability[] = controller ? [{ type: { $case: "service", value: { type: CONTROLLER_SERVICE } } }] : [];
  return {
    getPluginInfo: callHandler(log, "GetPluginInfo", () => ({ name, vendorVersion: VERSION, manifest: {} })),
    getPluginCapabilities: callHandler(log, "GetPluginCapabilities", () => ({ capabilities })),
    // Also while the host service is away: livenessprobe restarts a driver that is not ready, which would help nobody.
    probe: callHandler(log, "Probe", () => ({ ready: true })),
  };
}
