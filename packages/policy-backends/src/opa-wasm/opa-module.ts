/**
 * A policy that OPA compiled to WebAssembly, by OPA's published ABI (1.2 and later of 1): one module, its data, one entry
 * point. It knows nothing of what is asked. Runs in a thread that may be ended: a module may do anything but come back.
 */

/** The part of the WebAssembly interface that is used here: Node's types leave it to those of browsers. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface WebAssemblyFace {
  Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

const webAssembly = (globalThis as unknown as { WebAssembly: WebAssemblyFace }).WebAssembly;

/** The part of the ABI that is used here. */
interface Exports {
  opa_eval(reserved: number, entrypoint: number, data: number, input: number, inputLength: number, heap: number, format: number): number;
  builtins(): number;
  entrypoints(): number;
  opa_json_parse(at: number, length: number): number;
  opa_json_dump(value: number): number;
  opa_malloc(length: number): number;
  opa_heap_ptr_get(): number;
  opa_heap_ptr_set(to: number): void;
  opa_wasm_abi_version?: { value: unknown };
  opa_wasm_abi_minor_version?: { value: unknown };
}
const NEEDED = [
  "opa_eval",
  "builtins",
  "entrypoints",
  "opa_json_parse",
  "opa_json_dump",
  "opa_malloc",
  "opa_heap_ptr_get",
  "opa_heap_ptr_set",
];

const PAGE_BYTES = 65_536;
/** As OPA's own SDK begins; a policy that takes more than the last is ended. */
const FIRST_PAGES = 16;
const LAST_PAGES = 4_096;
const FORMAT_JSON = 0;

/** A module that is not OPA's, or needs more than is here. The message says what to do. */
export class OpaModuleError extends Error {
  override readonly name = "OpaModuleError";
}

export class OpaModule {
  private heapBase = 0;

  private constructor(
    private readonly exports: Exports,
    private readonly memory: WasmMemory,
    private readonly entrypoint: number,
    private readonly data: number,
  ) {}

  /** `data` is JSON. `entrypoint` undefined: the first. Throws `OpaModuleError`. */
  static load(bytes: Uint8Array, data: string, entrypoint: string | undefined): OpaModule {
    const memory = new webAssembly.Memory({ initial: FIRST_PAGES, maximum: LAST_PAGES });
    const exports = instantiate(bytes, memory);
    const reader = new Texts(memory);
    const json = (value: number): unknown => JSON.parse(reader.read(exports.opa_json_dump(value)));
    const missing = Object.keys(json(exports.builtins()) as object);
    if (missing.length > 0)
      throw new OpaModuleError(
        `it calls ${missing.join(", ")}, which OPA leaves to its host and which are not here: write the policy without`,
      );
    const entrypoints = json(exports.entrypoints()) as Record<string, number>;
    const id = entrypoint === undefined ? 0 : entrypoints[entrypoint];
    if (id === undefined)
      throw new OpaModuleError(`it has no entry point '${entrypoint}': use one of ${Object.keys(entrypoints).join(", ")}`);
    const text = Buffer.from(data, "utf8");
    const at = exports.opa_malloc(text.length);
    reader.write(at, text);
    const parsed = exports.opa_json_parse(at, text.length);
    if (parsed === 0) throw new OpaModuleError("it cannot parse the data of the bundle: rebuild the bundle");
    const module = new OpaModule(exports, memory, id, parsed);
    module.heapBase = exports.opa_heap_ptr_get();
    return module;
  }

  /** The value of the entry point; undefined if it is undefined. Throws if the policy gives up. */
  evaluate(input: unknown): unknown {
    const { exports, heapBase } = this;
    const texts = new Texts(this.memory);
    const text = Buffer.from(JSON.stringify(input), "utf8");
    texts.write(heapBase, text);
    const at = exports.opa_eval(0, this.entrypoint, this.data, heapBase, text.length, heapBase + text.length, FORMAT_JSON);
    const results = JSON.parse(texts.read(at)) as { result: unknown }[];
    return results[0]?.result;
  }
}

function instantiate(bytes: Uint8Array, memory: WasmMemory): Exports {
  const builtin = (): never => {
    throw new Error("the policy calls a builtin that is not here");
  };
  const env = {
    memory,
    opa_abort: (at: number): never => {
      throw new Error(new Texts(memory).read(at));
    },
    opa_println: () => undefined,
    ...Object.fromEntries([0, 1, 2, 3, 4].map((count) => [`opa_builtin${count}`, builtin])),
  };
  let exports: Partial<Exports>;
  try {
    exports = new webAssembly.Instance(new webAssembly.Module(bytes), { env }).exports as Partial<Exports>;
  } catch (error) {
    throw new OpaModuleError(`it is no WebAssembly module of OPA (${(error as Error).message}): make one with 'opa build -t wasm'`);
  }
  const lacking = NEEDED.filter((name) => typeof exports[name as keyof Exports] !== "function");
  const major: unknown = exports.opa_wasm_abi_version?.value;
  if (lacking.length > 0 || major !== 1)
    throw new OpaModuleError(
      `it does not keep to version 1.2 of OPA's ABI (${lacking.join(", ") || `version ${String(major)}`}): rebuild it with a current OPA`,
    );
  return exports as Exports;
}

/** Texts in the module's memory, which may move when it grows. */
class Texts {
  constructor(private readonly memory: WasmMemory) {}

  /** Up to its NUL. */
  read(at: number): string {
    const bytes = new Uint8Array(this.memory.buffer);
    const end = bytes.indexOf(0, at);
    return Buffer.from(bytes.slice(at, end < 0 ? bytes.length : end)).toString("utf8");
  }

  write(at: number, text: Uint8Array): void {
    const lacking = at + text.length - this.memory.buffer.byteLength;
    if (lacking > 0) this.memory.grow(Math.ceil(lacking / PAGE_BYTES));
    new Uint8Array(this.memory.buffer).set(text, at);
  }
}
