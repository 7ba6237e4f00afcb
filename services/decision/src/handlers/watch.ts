/** Watch: the policy in force and each change of it, for clients that cache answers without a Session. Transport only. */
import type { handleServerStreamingCall } from "@grpc/grpc-js";
import { capabilitiesToProto, type PolicyCapabilities, type wire } from "@sluice/decision-api";
import type { DecisionEngine } from "../engine/decision-engine.js";

export function watchHandler(engine: DecisionEngine): handleServerStreamingCall<wire.WatchRequest, wire.WatchResponse> {
  return (call) => {
    const tell = (capabilities: PolicyCapabilities): void => {
      // A slow reader misses nothing that the next message does not say: only the newest policy counts.
      if (!call.writableNeedDrain) call.write({ message: { $case: "policy", value: capabilitiesToProto(capabilities) } });
    };
    const stop = engine.onPolicyChange(tell);
    call.on("drain", () => tell(engine.capabilities()));
    call.on("cancelled", () => {
      stop();
      call.end();
    });
    call.on("error", stop);
    engine.refresh();
    tell(engine.capabilities());
  };
}
