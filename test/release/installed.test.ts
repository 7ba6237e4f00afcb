// The archive and the package of a release, in a Debian without compiler, npm and network. The other artefacts: test/release/whole.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { neededGlibc } from "../../packages/dev/release/addon.mjs";
import { buildBundle } from "../../packages/dev/build.mjs";
import { cachesAtStart, chunksAtStart, debianRoot, type DebianRoot, expectFirstMinute, LIMIT_MS, release, succeed } from "./debian-root.js";

const needs = requires("/dev/fuse", "CAP_SYS_ADMIN", "user namespaces", "command mmdebstrap", "command dpkg-deb", "command readelf");

/** Packages inside of a tree, joined or beside the program, that its bill of materials does not list. */
function unlisted(tree: string): string[] {
  const { components } = JSON.parse(readFileSync(join(tree, "sbom.cdx.json"), "utf8")) as { components: { purl?: string }[] };
  const listed = new Set(components.map(({ purl = "" }) => decodeURIComponent(purl).replace("pkg:npm/", "")));
  const joined = [...readFileSync(join(tree, "THIRD-PARTY-LICENSES"), "utf8").matchAll(/^(\S+) (\d+\.\d+\.\S*) \(/gm)];
  const files = readdirSync(tree, { recursive: true, encoding: "utf8" });
  const beside = files
    .filter((file) => /node_modules\/(@[^/]+\/)?[^/@]+\/package\.json$/.test(file))
    .map((file) => {
      const { name, version } = JSON.parse(readFileSync(join(tree, file), "utf8")) as { name?: string; version?: string };
      return `${name}@${version}`;
    });
  // Neither list is empty because nothing was recognized.
  expect(joined.length).toBeGreaterThan(10);
  expect(beside.map((name) => name.replace(/@[^@]*$/, ""))).toEqual(expect.arrayContaining(["@cedar-policy/cedar-wasm", "fuse-native"]));
  return [...joined.map(([, name, version]) => `${name}@${version}`), ...beside].filter((name) => !listed.has(name));
}

/** Pages that errors and helps name, without their directory. */
function namedPages(tree: string): string[] {
  const chunks = readdirSync(join(tree, "chunks"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js"));
  const texts = chunks.map((name) => readFileSync(join(tree, "chunks", name), "utf8"));
  return [...new Set(texts.flatMap((text) => [...text.matchAll(/\bdocs\/([\w-]+\.md)\b/g)].map(([, name = ""]) => name)))];
}

/** To make the caches of all chunks again would take three seconds. */
async function leaveStartedChunks(root: DebianRoot): Promise<void> {
  const place = join(root.at, "usr/lib/sluice");
  const started = new Set((await chunksAtStart(root, "/usr/bin/node")).map(({ name }) => name));
  const chunks = readdirSync(join(place, "chunks"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith("js"));
  for (const name of chunks) if (!started.has(`chunks/${name}`)) rmSync(join(place, "chunks", name));
  writeFileSync(join(place, "starts.json"), "{}");
}

needs.describe("a release in a fresh Debian", () => {
  let out = "";
  let root: DebianRoot;

  beforeAll(async () => {
    expect(buildBundle()).toBe(true);
    [out, root] = await Promise.all([release("tar,deb"), debianRoot("trixie")]);
  }, LIMIT_MS);

  const named = (pattern: RegExp): string => readdirSync(out).find((name) => pattern.test(name)) ?? "none";

  needs.test("SHA256SUMS names the bytes of every artefact", async () => {
    const { stdout } = await succeed(["sh", "-c", 'cd "$0" && sha256sum --check SHA256SUMS', out]);
    expect(stdout.trim().split("\n")).toHaveLength(readdirSync(out).length - 1);
  });

  needs.test(
    "the archive runs from a read-only directory, by a link, and its addon asks for no newer glibc than Node",
    async () => {
      const archive = named(/\.tar\.gz$/);
      await succeed(["tar", "-xzf", join(out, archive), "-C", join(root.at, "opt")]);
      const tree = archive.replace(".tar.gz", "");
      expect(Number(neededGlibc(join(root.at, "opt", tree, "packages/native/build/sluice_native.node")).split(".")[1])).toBeLessThanOrEqual(
        28,
      );
      expect(unlisted(join(root.at, "opt", tree))).toEqual([]);
      const pages = namedPages(join(root.at, "opt", tree));
      expect(pages.length).toBeGreaterThan(3);
      expect(readdirSync(join(root.at, "opt", tree, "docs"))).toEqual(expect.arrayContaining(pages));
      // Links for mount(8) lead to the archive's commands, since those start the Node that belongs to it.
      await root.run(
        "sh",
        "-c",
        `/opt/${tree}/bin/sluice-overlayfs --install-helpers=/tmp/links && /tmp/links/sbin/mount.fuse.sluice --version`,
      );
      expect(await root.run("readlink", "/tmp/links/usr/local/bin/sluice")).toBe(`/opt/${tree}/bin/sluice\n`);
      const use = `mount --bind /opt /opt && mount -o remount,bind,ro /opt && ln -s /opt/${tree}/bin/sluice /usr/bin/mine
        /tmp/first-minute.sh mine && rm /usr/bin/mine`;
      expectFirstMinute(await root.run("sh", "-c", use));
    },
    LIMIT_MS,
  );

  needs.test(
    "the package installs without a network, serves, and leaves nothing behind when it is purged",
    async () => {
      await succeed(["cp", join(out, named(/\.deb$/)), join(root.at, "tmp/sluice.deb")]);
      const before = await root.paths();
      await root.run("dpkg", "-i", "/tmp/sluice.deb");
      expectFirstMinute(await root.run("/tmp/first-minute.sh", "sluice"));
      const installed = await root.paths();
      for (const path of ["bin/sluice-decision", "bin/sluice-overlayfs", "sbin/mount.fuse.sluice", "sbin/umount.fuse.sluice"])
        expect(installed).toContain(`/usr/${path}`);
      for (const path of ["bash-completion/completions/sluice", "fish/vendor_completions.d/sluice.fish", "zsh/vendor-completions/_sluice"])
        expect(installed).toContain(`/usr/share/${path}`);
      expect(installed).toContain("/usr/share/man/man1/sluice-policy-check.1.gz");
      const pages = namedPages(join(root.at, "usr/lib/sluice")).map((name) => `./usr/share/doc/sluice/docs/${name}`);
      // A small system leaves them out when it installs a package.
      const { stdout: content } = await succeed(["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -t', join(out, named(/\.deb$/))]);
      expect(content.split("\n")).toEqual(expect.arrayContaining(pages));
      expect(installed.filter((path) => path.startsWith("/etc/systemd"))).toEqual(before.filter((path) => path.startsWith("/etc/systemd")));
      expect(await root.run("getent", "passwd", "sluice-decision")).toContain("/usr/sbin/nologin");
      await root.run("mount.fuse.sluice", "--version");
      expect(await cachesAtStart(root, "/usr/bin/node")).toEqual(["taken"]);
      await leaveStartedChunks(root);
      // Debian's Node is replaced by a later one.
      await root.run("touch", "/usr/bin/node");
      expect(await cachesAtStart(root, "/usr/bin/node")).toEqual(["none"]);
      await root.run("dpkg-trigger", "--no-await", "/usr/bin/node");
      await root.run("dpkg", "--configure", "--pending");
      expect(await cachesAtStart(root, "/usr/bin/node")).toEqual(["taken"]);
      await root.run("dpkg", "--purge", "sluice");
      expect(await root.paths()).toEqual(before);
      expect(await root.run("sh", "-c", "getent passwd sluice-decision || echo gone")).toBe("gone\n");
    },
    LIMIT_MS,
  );
});
