/** A `Decider` over gRPC. A face of its own: gRPC takes longer to load than a mount without a policy takes to come up. */
export { connectDecider, type DeciderOptions, whenReady } from "./connect-decider.js";
