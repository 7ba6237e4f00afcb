// A release that is built twice, in two folders, from the sources on. `npm run test:soak release`.
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanedUp, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { storageWithBase } from "../base-image.js";
import { FAST_RELEASE, LIMIT_MS, succeed } from "../debian-root.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** The machine that builds may differ in these, too. */
const MACHINES = [
  { place: "one", umask: "022", env: { TZ: "UTC", LC_ALL: "C.UTF-8" } },
  { place: "another/folder", umask: "077", env: { TZ: "Asia/Tokyo", LC_ALL: "C" } },
];

/** A copy of the checkout in another folder: an overlay, in which everything that was built is removed. */
const BUILD = `set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
cd "$4"
rm -rf bundle packages/*/dist services/*/dist test/*/dist packages/native/build
node packages/native/build.mjs
npm run build
node packages/dev/release/release.mjs --out "$5"`;

requires(
  "CAP_SYS_ADMIN",
  "kernel overlayfs",
  "command npm",
  "command dpkg-deb",
  "command rpmbuild",
  "command readelf",
  "command aarch64-linux-gnu-gcc",
  "command buildah",
  "command mmdebstrap",
).test(
  "two builds of all artefacts in two folders have the same bytes",
  async () => {
    const sums: string[] = [];
    for (const { place, umask, env } of MACHINES) {
      const at = join(scratch(), place);
      const [upper = "", work = "", merged = "", out = ""] = ["upper", "work", basename(place), "out"].map((name) => join(at, name));
      for (const directory of [upper, work, merged]) mkdirSync(directory, { recursive: true });
      const script = ["unshare", "--mount", "sh", "-c", `umask ${umask}\n${BUILD}`, "sh", ROOT, upper, work, merged, out];
      // Each build has the base image from a storage of its own.
      await cleanedUp(async () => succeed(script, { ...FAST_RELEASE, ...env, ...(await storageWithBase()).env }));
      sums.push(readFileSync(join(out, "SHA256SUMS"), "utf8"));
    }
    expect(sums[1]).toBe(sums[0]);
    for (const kind of ["x64.tar.gz", "x64-with-node.tar.gz", "sluice_", "sluice-with-node_", ".tgz", ".rpm", "oci-amd64.tar", ".cdx.json"])
      expect(sums[0]).toContain(kind);
  },
  2 * LIMIT_MS,
);
