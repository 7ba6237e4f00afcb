/** A `Decider` over gRPC. An entry point of its own: gRPC takes longer to load than a mount without a policy takes to start. */
export { connectDecider, type DeciderOptions, whenReady } from "./connect-decider.js";
