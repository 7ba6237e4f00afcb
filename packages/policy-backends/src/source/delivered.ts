/** A delivery of a source: the bytes of one policy file, or of a bundle (.tar.gz, in OPA's form) with all files it names. */
import { checkSignatures } from "../document/signatures.js";
import { isGzip, unpack, untar } from "../document/tar.js";

export interface Delivered {
  files: ReadonlyMap<string, Buffer>;
  /** Of the bundle's manifest, where its revision is a whole number. */
  sequence: bigint | undefined;
}

/** Bytes of one delivery, packed. */
export const MAX_DELIVERED_BYTES = 16 * 1024 * 1024;
const MANIFEST = ".manifest";
const MAX_SEQUENCE = 2n ** 63n;

/** The revision of a manifest is any text: one that is a whole number orders. */
function sequenceOf(manifest: Buffer | undefined): bigint | undefined {
  if (manifest === undefined) return undefined;
  let revision: unknown;
  try {
    revision = (JSON.parse(manifest.toString("utf8")) as { revision?: unknown } | null)?.revision;
  } catch {
    throw new Error("the bundle's .manifest is no JSON: rebuild it");
  }
  const text = typeof revision === "string" || typeof revision === "number" ? String(revision) : "";
  if (!/^\d{1,19}$/.test(text)) return undefined;
  const sequence = BigInt(text);
  return sequence < MAX_SEQUENCE ? sequence : undefined;
}

export function tooMuchDelivered(): Error {
  return new Error(`the source's policy is larger than ${MAX_DELIVERED_BYTES} bytes: make it smaller`);
}

/** Rejects with the mistake and the remedy. `entry`: the name that a lone policy file is given. */
export async function readDelivered(bytes: Buffer, entry: string, skipVerify: boolean | undefined): Promise<Delivered> {
  if (bytes.length > MAX_DELIVERED_BYTES) throw tooMuchDelivered();
  if (!isGzip(bytes)) return { files: new Map([[entry, bytes]]), sequence: undefined };
  const files = untar(await unpack(bytes));
  checkSignatures(files, skipVerify);
  return { files, sequence: sequenceOf(files.get(MANIFEST)) };
}
