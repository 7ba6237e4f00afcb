/** Makes the generated lower layer, the empty upper one, and the policy file. */
import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FILES, MIB, type DemoPaths, PRIVATE_KEY, SECRET } from "./demo-paths.js";

/** The policy of the demo: grants by default, mediates what is metered, denies what is secret. */
const POLICY = `version: 1
default: grant
rules:
  - name: private-keys
    path: ["**/*.pem"]
    effect: deny
  - name: secrets
    path: "secrets/**"
    effect: deny
  - name: metered-datasets
    path: "datasets/metered/**"
    effect: mediate
`;

/** Incompressible bytes in which no two blocks are alike, so that a block read from the wrong offset cannot pass. */
async function writeBlocks(path: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const block = randomBytes(4 * MIB);
  const file = await open(path, "wx", 0o644);
  try {
    for (let offset = 0; offset < sizeBytes; offset += block.length) {
      signal.throwIfAborted();
      for (let page = 0; page < block.length; page += 4096) block.writeDoubleLE(offset + page, page);
      await file.write(block, 0, Math.min(block.length, sizeBytes - offset), offset);
    }
  } finally {
    await file.close();
  }
}

export async function generateLayers(paths: DemoPaths, signal: AbortSignal): Promise<void> {
  for (const directory of [paths.upper, paths.work, paths.kernelWork, paths.kernelMount, paths.mountPoint, paths.native, paths.snapshots])
    await mkdir(directory, { recursive: true });
  for (const file of Object.values(FILES)) {
    const path = join(paths.lowerData, file.path);
    await mkdir(dirname(path), { recursive: true });
    await writeBlocks(path, file.sizeBytes, signal);
  }
  for (const [path, text] of [
    [SECRET, "the token nobody reads\n"],
    [PRIVATE_KEY, "not really a private key\n"],
  ] as const) {
    await mkdir(dirname(join(paths.lowerData, path)), { recursive: true });
    await writeFile(join(paths.lowerData, path), text);
  }
  await chmod(paths.scratch, 0o755);
  await writeFile(paths.policy, POLICY);
}
