/** A compiled OPA policy in a thread of its own. The program of the thread. */
import { checkSignatures } from "../document/signatures.js";
import { isGzip, unpackAtOnce, untar } from "../document/tar.js";
import { NOT_UTF8, utf8Text } from "../document/utf8-text.js";
import { serveTasks } from "../worker/serve-tasks.js";
import { OpaModule } from "./opa-module.js";

export interface OpaWasmSetup {
  bytes: Uint8Array;
  entrypoint: string | undefined;
  skipVerify: boolean | undefined;
}

let policy: OpaModule | undefined;

serveTasks<OpaWasmSetup, unknown[]>({
  setup({ bytes, entrypoint, skipVerify }) {
    const { module, data } = readBundle(Buffer.from(bytes), skipVerify);
    policy = OpaModule.load(module, data, entrypoint);
  },
  run: (inputs) => inputs.map((input) => policy?.evaluate(input)),
});

/**
 * The module and the data (JSON) in a bundle of OPA (.tar.gz), or a bare module. Refuses a bundle that unpacks to too much. Throws the
 * mistake and the remedy.
 */
function readBundle(bytes: Buffer, skipVerify: boolean | undefined): { module: Uint8Array; data: string } {
  if (!isGzip(bytes)) return { module: bytes, data: "{}" };
  const files = untar(unpackAtOnce(bytes));
  checkSignatures(files, skipVerify);
  const module = files.get("policy.wasm");
  if (module === undefined) throw new Error("the bundle holds no policy.wasm: make it with 'opa build -t wasm'");
  const data = utf8Text(files.get("data.json") ?? Buffer.from("{}"));
  if (!data.ok) {
    const { line, column } = data.position;
    throw new Error(`data.json of the bundle is not UTF-8 (line ${line}, column ${column}): ${NOT_UTF8.remedy}`);
  }
  checkData(data.text);
  return { module, data: data.text };
}

/** OPA's module takes data that it cannot parse for none: a policy that denies by its data would deny nothing. */
function checkData(text: string): void {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new Error(`data.json of the bundle is no JSON (${(error as Error).message}): rebuild the bundle`, { cause: error });
  }
  if (typeof data !== "object" || data === null || Array.isArray(data))
    throw new Error("data.json of the bundle is no object: rebuild the bundle");
}
