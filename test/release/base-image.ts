/** The stand-in for the base image of deploy/docker/Dockerfile, in a storage of buildah that ends with the test. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, scratch } from "@sluice/testkit";
import { cache, succeed } from "./debian-root.js";

const IMPORT = fileURLToPath(new URL("../../deploy/docker/import-base-images.sh", import.meta.url));
const BASE = "localhost/node:20-trixie-slim";

export interface ImageStorage {
  /** For `npm run release`, too. */
  env: Record<string, string>;
  buildah(...argv: string[]): Promise<string>;
}

export async function storageWithBase(): Promise<ImageStorage> {
  await succeed([IMPORT, "--tar-only"]);
  const storage = scratch();
  const configuration = join(storage, "storage.conf");
  writeFileSync(configuration, `[storage]\ndriver = "vfs"\ngraphroot = "${storage}/graph"\nrunroot = "${storage}/run"\n`);
  const env = { CONTAINERS_STORAGE_CONF: configuration, SLUICE_BASE_IMAGE: BASE };
  const buildah = async (...argv: string[]): Promise<string> => (await succeed(["buildah", ...argv], env)).stdout.trim();
  // In a storage that still mounts a container nothing can be removed.
  cleanUp(async () => {
    await buildah("rm", "--all");
    await buildah("rmi", "--all", "--force");
  });
  const empty = await buildah("from", "scratch");
  await buildah("add", empty, join(cache(), "node-20-trixie-slim.tar"), "/");
  // A base of another time would make another image.
  await buildah("commit", "--quiet", "--timestamp", "0", empty, BASE);
  await buildah("rm", empty);
  return { env, buildah };
}
