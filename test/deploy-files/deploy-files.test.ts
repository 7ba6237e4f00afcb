/**
 * Units and the volume plugin in deploy/, which cannot run here, are consistent and fit the command line. The test reads them as data.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, runScript, runSluice, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { parse } from "yaml";

const place = (name: string): string => fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));

const read = (name: string): string => readFileSync(place(name), "utf8");

/** Every long option of a command line is one that the command knows. */
async function checkOptions(args: readonly string[]): Promise<void> {
  const { stdout } = await runSluice([args[0] as string, "--help"]);
  const known = new Set(stdout.match(/--[a-z][a-z-]*/g));
  for (const option of args.filter((arg) => arg.startsWith("--"))) expect(known, option).toContain(option);
}

test("the managed volume plugin requests what compose gives the mount and its keeper, and calls existing programs", async () => {
  const config = JSON.parse(read("volume-plugin/config.json")) as {
    entrypoint: string[];
    propagatedMount: string;
    linux: { capabilities: string[] };
  };
  const compose = parse(read("../docker-compose.yml"), { merge: true }) as { services: Record<string, { cap_add: string[] }> };
  expect(config.linux.capabilities).toEqual(compose.services["mount"]?.cap_add.map((name) => `CAP_${name}`));
  const command = config.entrypoint.slice(config.entrypoint.indexOf("volume-plugin"));
  expect(command.slice(0, 3)).toEqual(["volume-plugin", "--root", config.propagatedMount]);
  await checkOptions(command);
});

test("the shipped policy is valid", async () => {
  expect(await runSluice(["policy", "check", place("compose/policies/rules/policy.yaml")])).toMatchObject({ code: 0 });
});

const asRoot = requires("CAP_SYS_ADMIN");
asRoot.test("prepare.sh asks for root before it makes anything", async () => {
  const at = scratch();
  const { code, stderr } = await runScript([place("compose/prepare.sh"), at], { as: { uid: 65534, gid: 65534 } });
  expect({ code, stderr }).toEqual({ code: 3, stderr: "prepare: it binds a directory onto itself: run this as root\n" });
  expect(readdirSync(at)).toEqual([]);
});

test("units call the command with options that it knows", async () => {
  for (const name of readdirSync(place("systemd")).filter((file) => file.endsWith(".service"))) {
    const lines = [...read(`systemd/${name}`).matchAll(/^Exec\w+=-?\/usr\/local\/bin\/sluice (.*)$/gm)];
    expect(lines.length, name).toBeGreaterThan(0);
    for (const [, line = ""] of lines) await checkOptions(line.split(" "));
  }
});

test("units of mounts leave the command the capabilities that it keeps, and the one to drop the others", () => {
  const table = readFileSync(fileURLToPath(new URL("../../docs/security.md", import.meta.url)), "utf8");
  const listed = [...table.matchAll(/^\| (CAP_\w+) \|/gm)].map(([, name = ""]) => name);
  expect(listed.length).toBeGreaterThan(10);
  for (const unit of ["sluice@.service", "sluice-host.service", "sluice-volume-plugin.service"]) {
    const [, left = ""] = /^CapabilityBoundingSet=(.*)$/m.exec(read(`systemd/${unit}`)) ?? [];
    expect(left.split(" ").sort()).toEqual([...listed, "CAP_SETPCAP"].sort());
    // Each of these gives the unit a mount namespace of its own: nobody else would see its mounts.
    expect(read(`systemd/${unit}`)).not.toMatch(
      /^(?:Private(?:Tmp|Devices|Mounts)|Protect\w+|(?:ReadOnly|ReadWrite|Inaccessible|Bind)\w*Paths)=/m,
    );
  }
});

const { test: verified } = requires("command systemd-analyze");

verified("systemd reads the units", async () => {
  const directory = scratch();
  const units = readdirSync(place("systemd")).filter((file) => /\.(?:service|socket)$/.test(file));
  // The command is not installed on the test machine.
  for (const unit of units) writeFileSync(join(directory, unit), read(`systemd/${unit}`).replaceAll("/usr/local/bin/sluice", "/bin/true"));
  const result = await runScript(["systemd-analyze", "verify", ...units.map((unit) => join(directory, unit.replace("@.", "@x.")))]);
  expect(result.stdout + result.stderr).toBe("");
  expect(result.code).toBe(0);
});
