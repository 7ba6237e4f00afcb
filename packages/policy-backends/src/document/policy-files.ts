/** The origin of a policy's files: a disk, or a whole delivery of a source elsewhere. */
import { createHash } from "node:crypto";

export interface PolicyFiles {
  /** Throws `UnreadableFile`. */
  read(file: string, maxBytes: number): Buffer;
  /** Of all that was read. */
  digest(): string;
  /** Whether a file holds something else than was read of it. */
  changed(): boolean;
  directories(): readonly string[];
}

/** The fault of a file, for a sentence that names it. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile";
  constructor(
    readonly problem: string,
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    super(`${problem}: ${remedy}`, options);
  }
}

export const sha256 = (content: Uint8Array | string): string => createHash("sha256").update(content).digest("hex");

export function tooLarge(maxBytes: number): UnreadableFile {
  return new UnreadableFile(`it is larger than ${maxBytes} bytes`, "make it smaller, or split it");
}

/** Files by their path from the root of the delivery. Nothing outside of it can be named. */
export class DeliveredFiles implements PolicyFiles {
  constructor(private readonly files: ReadonlyMap<string, Buffer>) {}

  read(file: string, maxBytes: number): Buffer {
    const bytes = this.files.get(file.replace(/^\//, ""));
    if (bytes === undefined) throw new UnreadableFile("the bundle does not hold it", "put it into the bundle");
    if (bytes.length > maxBytes) throw tooLarge(maxBytes);
    return bytes;
  }

  /** Of everything that was delivered, in whatever order. */
  digest(): string {
    const [only] = this.files.values();
    if (this.files.size === 1 && only !== undefined) return sha256(only);
    const lines = [...this.files].map(([name, bytes]) => `${sha256(bytes)} ${name}`).sort();
    return sha256(lines.join("\n"));
  }

  changed(): boolean {
    return false;
  }

  directories(): readonly string[] {
    return [];
  }
}
