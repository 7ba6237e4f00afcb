// The image of a release, made by buildah in a storage of its own from the stand-in for the base image. `npm run test:soak release`.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { expect } from "vitest";
import { buildBundle } from "../../../packages/dev/build.mjs";
import { storageWithBase } from "../base-image.js";
import { LIMIT_MS, release, succeed } from "../debian-root.js";

interface Config {
  Labels: Record<string, string>;
  Env: string[];
}

const MOST_ABOVE_BASE = 25 << 20;

requires("CAP_SYS_ADMIN", "command buildah", "command mmdebstrap", "command readelf").test(
  "the image is labelled, adds less than 25 MB to its base, and has the commands on PATH",
  async () => {
    expect(buildBundle()).toBe(true);
    const { env, buildah } = await storageWithBase();
    const out = await release("image", env);
    const archive = join(out, readdirSync(out).find((name) => name.endsWith(".tar")) ?? "none");
    const image = await buildah("pull", "--quiet", `oci-archive:${archive}`);
    const { OCIv1 } = JSON.parse(await buildah("inspect", "--type", "image", image)) as { OCIv1: { config: Config } };
    expect(OCIv1.config.Labels).toMatchObject({
      "org.opencontainers.image.licenses": "Apache-2.0",
      "org.opencontainers.image.title": "sluice",
    });
    const container = await buildah("from", "--pull=never", image);
    const place = await buildah("mount", container);
    const { stdout: above } = await succeed(["du", "-s", "--apparent-size", "-B1", join(place, "opt/sluice")]);
    expect(Number.parseInt(above, 10)).toBeLessThan(MOST_ABOVE_BASE);
    // 65532 is the user of the decision service in compose and Kubernetes.
    const path = OCIv1.config.Env.find((value) => value.startsWith("PATH=")) ?? "none";
    const { stdout: version } = await succeed(["chroot", "--userspec=65532:65532", place, "env", "-i", path, "sluice", "--version"]);
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
  },
  LIMIT_MS,
);
