// The units of the package, run by systemd in a fresh Debian. `npm run test:soak release`.
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { buildBundle } from "../../../packages/dev/build.mjs";
import { boot, debianRoot, LIMIT_MS, release } from "../debian-root.js";

const UNITS = fileURLToPath(new URL("../units.sh", import.meta.url));

beforeAll(() => expect(buildBundle()).toBe(true));

requires("/dev/fuse", "CAP_SYS_ADMIN", "command mmdebstrap", "command dpkg-deb", "command readelf").test(
  "the units of the package start, serve with the rights that they state, reload, and go with the package",
  async () => {
    const [out, root] = [await release("deb"), await debianRoot("trixie-systemd")];
    cpSync(join(out, readdirSync(out).find((name) => name.endsWith(".deb")) ?? "none"), join(root.at, "opt/sluice.deb"));
    cpSync(UNITS, join(root.at, "opt/units.sh"));
    const run = await boot(root);
    const said = await run("/opt/units.sh", "/opt/sluice.deb");
    for (const step of ["verify", "serve", "rights", "reload", "volume plugin", "purge"]) expect(said).toContain(`ok ${step}`);
  },
  LIMIT_MS,
);
