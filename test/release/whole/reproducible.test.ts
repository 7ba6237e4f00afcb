// A release that is built twice, in two folders, from the sources on. `npm run test:soak release`.
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { LIMIT_MS, succeed } from "../debian-root.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const KINDS = "tar,deb,npm,rpm,sbom";

/** A copy of the checkout in another folder: an overlay, in which everything that was built is removed. */
const BUILD = `set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
cd "$4"
rm -rf bundle packages/*/dist services/*/dist test/*/dist packages/native/build
node packages/native/build.mjs
npm run build
node packages/dev/release/release.mjs --out "$5" --only "$6"`;

const needs = requires(
  "CAP_SYS_ADMIN",
  "kernel overlayfs",
  "command npm",
  "command dpkg-deb",
  "command rpmbuild",
  "command readelf",
  "command aarch64-linux-gnu-gcc",
);

needs.test(
  "two builds in two folders have the same bytes",
  async () => {
    const at = scratch();
    const sums: string[] = [];
    for (const place of ["one", "another/folder"]) {
      const [upper, work, merged, out] = ["upper", "work", basename(place), "out"].map((name) => join(at, place, name)) as [
        string,
        string,
        string,
        string,
      ];
      for (const directory of [upper, work, merged]) mkdirSync(directory, { recursive: true });
      const umask = place === "one" ? "umask 022" : "umask 077";
      const script = ["unshare", "--mount", "sh", "-c", `${umask}\n${BUILD}`, "sh", ROOT, upper, work, merged, out, KINDS];
      await succeed(script, { SOURCE_DATE_EPOCH: "1700000000" });
      sums.push(readFileSync(join(out, "SHA256SUMS"), "utf8"));
    }
    expect(sums[1]).toBe(sums[0]);
    expect(sums[0]?.split("\n").length).toBeGreaterThan(5);
  },
  LIMIT_MS,
);
