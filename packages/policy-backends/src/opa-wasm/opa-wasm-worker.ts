/** A compiled OPA policy in a thread of its own. The program of the thread. */
import { serveTasks } from "../worker/serve-tasks.js";
import { readBundle } from "./opa-bundle.js";
import { OpaModule } from "./opa-module.js";

export interface OpaWasmSetup {
  bytes: Uint8Array;
  entrypoint: string | undefined;
}

let policy: OpaModule | undefined;

serveTasks<OpaWasmSetup, unknown[]>({
  setup({ bytes, entrypoint }) {
    const { module, data } = readBundle(Buffer.from(bytes));
    policy = OpaModule.load(module, data, entrypoint);
  },
  run: (inputs) => inputs.map((input) => policy?.evaluate(input)),
});
