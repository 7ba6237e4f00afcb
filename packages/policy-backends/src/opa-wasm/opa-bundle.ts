/** The module and the data in a bundle of OPA (.tar.gz), or a bare module. A bundle that unpacks to too much is refused. */
import { isGzip, unpackAtOnce, untar } from "../document/tar.js";

export interface OpaBundle {
  module: Uint8Array;
  /** JSON. */
  data: string;
}

/** Throws with the mistake and the remedy. */
export function readBundle(bytes: Buffer): OpaBundle {
  if (!isGzip(bytes)) return { module: bytes, data: "{}" };
  const files = untar(unpackAtOnce(bytes));
  const module = files.get("policy.wasm");
  if (module === undefined) throw new Error("the bundle holds no policy.wasm: make it with 'opa build -t wasm'");
  return { module, data: files.get("data.json")?.toString("utf8") ?? "{}" };
}
