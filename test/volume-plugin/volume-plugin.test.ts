/** The Docker volume plugin by its protocol, without Docker; test/compose has it with a real engine. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cleanUp,
  mountsBelow,
  plant,
  plantDeep,
  requires,
  type RunningScript,
  runScript,
  runSluice,
  scratch,
  scriptOutput,
  startHostService,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

const SLUICE = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

interface Answer {
  Err?: string;
  Mountpoint?: string;
  Volume?: { Name: string; Mountpoint: string; Status: { users: number } };
  Volumes?: { Name: string }[];
  Implements?: string[];
}

class Plugin {
  readonly root: string;
  readonly socket: string;
  process: RunningScript | undefined;

  constructor(
    readonly args: readonly string[],
    readonly env: Readonly<Record<string, string>> = {},
    directory = scratch(),
  ) {
    this.root = join(directory, "root");
    this.socket = join(directory, "sluice.sock");
  }

  async start(): Promise<this> {
    this.process = startScript([process.execPath, SLUICE, "volume-plugin", "--socket", this.socket, "--root", this.root, ...this.args], {
      timeoutMs: 120_000,
      env: this.env,
    });
    await expect.poll(async () => (await this.ask("Plugin.Activate").catch(() => undefined))?.Implements).toEqual(["VolumeDriver"]);
    return this;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.process?.kill(signal);
    await this.process?.finished;
  }

  ask(call: string, body: object = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.socket, path: `/${call}`, method: "POST" }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("end", () => resolve(JSON.parse(text) as Answer));
      });
      asked.on("error", reject);
      asked.end(JSON.stringify(body));
    });
  }
}

const volume = (call: string): string => `VolumeDriver.${call}`;

function withVolumes(...args: string[]): Promise<Plugin> {
  return started(new Plugin(args));
}

async function started(plugin: Plugin): Promise<Plugin> {
  // Mounts outlive the plugin: whatever is left is taken away before the directory goes.
  cleanUp(async () => {
    for (const { mountpoint } of mountsBelow(plugin.root)) await runSluice(["unmount", mountpoint]);
  });
  return plugin.start();
}

test("a host service makes the mounts of volumes if one answers", async () => {
  const host = await startHostService();
  const plugin = await started(new Plugin([], { SLUICE_HOST_SERVICE: host.socket }));
  const lower = plant(scratch(), { file: "text" });
  await plugin.ask(volume("Create"), { Name: "models", Opts: { lower, upper: "auto" } });
  const { Mountpoint = "" } = await plugin.ask(volume("Mount"), { Name: "models", ID: "one" });
  expect(JSON.parse((await runSluice(["status", Mountpoint, "--json"])).stdout)).toMatchObject({ pid: host.pid, name: "models" });
  await plugin.end("SIGKILL");
  expect(await scriptOutput(["cat", join(Mountpoint, "file")])).toBe("text");
  await plugin.start();
  expect(await plugin.ask(volume("Unmount"), { Name: "models", ID: "one" })).toEqual({});
  expect(mountsBelow(plugin.root)).toEqual([]);
});

test("a volume is mounted at its first use, unmounted after its last, and outlives the plugin", async () => {
  const plugin = await withVolumes();
  const lower = plant(scratch(), { file: "text" });
  chownSync(lower, 1000, 2000);
  chmodSync(lower, 0o1775);
  expect(await plugin.ask(volume("Create"), { Name: "models", Opts: { lower, upper: "auto" } })).toEqual({});
  expect(statSync(plugin.socket).mode & 0o777).toBe(0o600);
  expect(mountsBelow(plugin.root)).toEqual([]);
  const { Mountpoint = "" } = await plugin.ask(volume("Mount"), { Name: "models", ID: "one" });
  expect(await scriptOutput(["cat", join(Mountpoint, "file")])).toBe("text");
  // Whoever could write to the layer can write to the volume.
  expect(await scriptOutput(["stat", "-c", "%u:%g %a", Mountpoint])).toBe("1000:2000 1775\n");
  expect((await plugin.ask(volume("Mount"), { Name: "models", ID: "two" })).Mountpoint).toBe(Mountpoint);
  expect(mountsBelow(plugin.root)).toHaveLength(1);
  expect((await plugin.ask(volume("Remove"), { Name: "models" })).Err).toBe("volume models is in use by 2 containers");

  await plugin.end("SIGKILL");
  expect(await scriptOutput(["cat", join(Mountpoint, "file")])).toBe("text");
  await plugin.start();
  expect((await plugin.ask(volume("Get"), { Name: "models" })).Volume?.Status.users).toBe(2);
  await scriptOutput(["sh", "-c", `echo changed >${join(Mountpoint, "file")}`]);
  const upper = join(plugin.root, "volumes/models/upper/file");
  expect((await runScript(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", upper])).stderr).toContain(
    "Permission denied",
  );

  expect(await plugin.ask(volume("Unmount"), { Name: "models", ID: "one" })).toEqual({});
  expect(mountsBelow(plugin.root)).toHaveLength(1);
  expect(await plugin.ask(volume("Unmount"), { Name: "models", ID: "two" })).toEqual({});
  expect(mountsBelow(plugin.root)).toEqual([]);
  expect(readFileSync(join(lower, "file"), "utf8")).toBe("text");
  expect(readFileSync(upper, "utf8")).toBe("changed\n");
  expect(await plugin.ask(volume("Remove"), { Name: "models" })).toEqual({});
  expect(existsSync(join(plugin.root, "volumes/models"))).toBe(false);
  expect((await plugin.ask(volume("List"))).Volumes).toEqual([]);
});

test("a mount that died is made again for the next container, and by a plugin that starts", async () => {
  const plugin = await withVolumes();
  await plugin.ask(volume("Create"), { Name: "v", Opts: { lower: plant(scratch(), { file: "text" }) } });
  const { Mountpoint = "" } = await plugin.ask(volume("Mount"), { Name: "v", ID: "one" });
  const die = async (): Promise<void> => {
    const { pid } = JSON.parse((await runSluice(["status", Mountpoint, "--json"])).stdout) as { pid: number };
    process.kill(pid, "SIGKILL");
  };
  await die();
  expect(await plugin.ask(volume("Mount"), { Name: "v", ID: "two" })).toEqual({ Mountpoint });
  expect(await scriptOutput(["cat", join(Mountpoint, "file")])).toBe("text");
  await plugin.end("SIGTERM");
  await die();
  await plugin.start();
  await expect.poll(async () => (await runSluice(["status", Mountpoint])).code).toBe(0);
  expect(await scriptOutput(["cat", join(Mountpoint, "file")])).toBe("text");
});

test("while the disk of its list is full, the plugin makes no volume and no mount that it does not keep", async () => {
  const disk = scratch({ on: "tmpfs", sizeMb: 1 });
  const plugin = await started(new Plugin([], {}, disk));
  const Opts = { lower: plant(scratch(), { file: "text" }) };
  const [first, second] = [{ Name: "first" }, { Name: "second", Opts }];
  const users = async (): Promise<number | undefined> => (await plugin.ask(volume("Get"), first)).Volume?.Status.users;
  await plugin.ask(volume("Create"), { ...first, Opts });
  await plugin.ask(volume("Mount"), { ...first, ID: "one" });
  await plugin.ask(volume("Unmount"), { ...first, ID: "one" });
  const [filler, full] = [join(disk, "filler"), "cannot be written (ENOSPC): make room on its disk"];
  expect(() => writeFileSync(filler, Buffer.alloc(2 << 20))).toThrow("ENOSPC");
  for (let asked = 0; asked < 2; asked++) expect((await plugin.ask(volume("Create"), second)).Err).toContain(full);
  expect((await plugin.ask(volume("List"))).Volumes?.map(({ Name }) => Name)).toEqual(["first"]);
  expect((await plugin.ask(volume("Mount"), { ...first, ID: "two" })).Err).toContain(full);
  expect([await users(), mountsBelow(plugin.root)]).toEqual([0, []]);

  rmSync(filler);
  expect((await plugin.ask(volume("Mount"), { ...first, ID: "three" })).Err).toBeUndefined();
  expect(() => writeFileSync(filler, Buffer.alloc(2 << 20))).toThrow("ENOSPC");
  // Docker says once that a container has ended.
  expect(await plugin.ask(volume("Unmount"), { ...first, ID: "three" })).toEqual({});
  expect([await users(), mountsBelow(plugin.root)]).toEqual([0, []]);
  // That may make room by itself.
  const { Err: problem } = await plugin.ask(volume("Remove"), first);
  rmSync(filler);
  if (problem !== undefined) expect(await plugin.ask(volume("Remove"), first)).toEqual({});
  expect(existsSync(join(plugin.root, "volumes/first"))).toBe(false);
});

test("removing a volume whose mount was left behind takes nothing from its layers", async () => {
  const plugin = await withVolumes();
  const place = scratch();
  const upper = plant(join(place, "upper"), { kept: "text" });
  const work = join(place, "work");
  mkdirSync(work);
  await plugin.ask(volume("Create"), { Name: "v", Opts: { lower: plant(scratch(), { file: "text" }), upper, work } });
  await plugin.ask(volume("Mount"), { Name: "v", ID: "one" });
  await plugin.end("SIGKILL");
  // As a plugin leaves it that dies between mounting and writing down for whom.
  const list = join(plugin.root, "volumes.json");
  writeFileSync(list, readFileSync(list, "utf8").replace(/"users": \[[^\]]*\]/, '"users": []'));
  await plugin.start();
  await expect.poll(() => mountsBelow(plugin.root)).toEqual([]);
  await plugin.ask(volume("Mount"), { Name: "v", ID: "two" });
  expect(mountsBelow(plugin.root)).toHaveLength(1);
  await plugin.end("SIGKILL");
  writeFileSync(list, readFileSync(list, "utf8").replace(/"users": \[[^\]]*\]/, '"users": []'));
  await plugin.start();
  // Asked before the plugin has looked, or after: the volume goes, and its mount with it.
  expect(await plugin.ask(volume("Remove"), { Name: "v" })).toEqual({});
  expect(mountsBelow(plugin.root)).toEqual([]);
  expect(readFileSync(join(upper, "kept"), "utf8")).toBe("text");
  expect(existsSync(join(plugin.root, "volumes/v"))).toBe(false);
});

test("a volume whose files cannot be removed stays on the list, and its files do not come back in another of its name", async () => {
  const plugin = await withVolumes();
  const Create = { Name: "v", Opts: { lower: plant(scratch(), { file: "text" }), upper: "auto" } };
  await plugin.ask(volume("Create"), Create);
  const { Mountpoint = "" } = await plugin.ask(volume("Mount"), { Name: "v", ID: "one" });
  expect(await runScript(["sh", "-c", 'mkdir "$0/held"; echo old >"$0/held/secret"', Mountpoint])).toMatchObject({ code: 0 });
  await plugin.ask(volume("Unmount"), { Name: "v", ID: "one" });
  const held = join(plugin.root, "volumes/v/upper/held");
  expect(await runScript(["mount", "--bind", held, held])).toMatchObject({ code: 0 });
  cleanUp(async () => void (await runScript(["umount", "-l", held])));
  expect((await plugin.ask(volume("Remove"), { Name: "v" })).Err).toContain("cannot be removed (EBUSY): remove it");
  expect((await plugin.ask(volume("List"))).Volumes).toMatchObject([{ Name: "v" }]);
  expect(await runScript(["umount", held])).toMatchObject({ code: 0 });
  expect(await plugin.ask(volume("Remove"), { Name: "v" })).toEqual({});
  await plugin.ask(volume("Create"), Create);
  await plugin.ask(volume("Mount"), { Name: "v", ID: "two" });
  expect(await scriptOutput(["ls", Mountpoint])).toBe("file\n");
});

test("a first mount that failed half-way leaves the upper layer as open as the layer below it", async () => {
  const plugin = await withVolumes();
  const lower = plant(scratch(), { file: "text" });
  chmodSync(lower, 0o777);
  await plugin.ask(volume("Create"), { Name: "v", Opts: { lower, upper: "auto" } });
  renameSync(lower, `${lower}.away`);
  expect((await plugin.ask(volume("Mount"), { Name: "v", ID: "one" })).Err).toContain("ENOENT");
  renameSync(`${lower}.away`, lower);
  await plugin.ask(volume("Mount"), { Name: "v", ID: "one" });
  expect(statSync(join(plugin.root, "volumes/v/upper")).mode & 0o7777).toBe(0o777);
});

test("a volume goes whose tree is deeper than a path is long", async () => {
  const plugin = await withVolumes();
  await plugin.ask(volume("Create"), { Name: "v", Opts: { lower: plant(scratch(), { file: "text" }), upper: "auto" } });
  await plugin.ask(volume("Mount"), { Name: "v", ID: "one" });
  await plugin.ask(volume("Unmount"), { Name: "v", ID: "one" });
  plantDeep(join(plugin.root, "volumes/v/upper"));
  expect(await plugin.ask(volume("Remove"), { Name: "v" })).toEqual({});
  expect(existsSync(join(plugin.root, "volumes/v"))).toBe(false);
});

test("a plugin in a container finds what options name below the host's root directory", async () => {
  const host = scratch();
  plant(join(host, "srv"), { "a:b/file": "text", "a:b/secret": "hidden", "c/other": "text" });
  plant(join(host, "etc"), { "policy.yaml": "version: 1\ndefault: grant\nrules:\n  - { name: secrets, path: secret, effect: deny }\n" });
  const plugin = await withVolumes("--host", host);
  expect((await plugin.ask(volume("Create"), { Name: "v", Opts: { lower: "/nowhere" } })).Err).toMatch(
    /^option lower: \/nowhere: there is/,
  );
  const Opts = { lower: "/srv/a\\:b:/../srv/c", policy: "/etc/policy.yaml", upper: "auto" };
  expect(await plugin.ask(volume("Create"), { Name: "v", Opts })).toEqual({});
  const { Mountpoint = "" } = await plugin.ask(volume("Mount"), { Name: "v", ID: "one" });
  expect(await scriptOutput(["cat", join(Mountpoint, "file"), join(Mountpoint, "other")])).toBe("texttext");
  expect((await runScript(["cat", join(Mountpoint, "secret")])).stderr).toContain("Permission denied");
  expect(await plugin.ask(volume("Unmount"), { Name: "v", ID: "one" })).toEqual({});
  const listen = `unix://${host}/run/decision.sock`;
  mkdirSync(join(host, "run"));
  const decision = startScript([process.execPath, SLUICE, "decision", "--policy", join(host, "etc/policy.yaml"), "--listen", listen]);
  await decision.waitFor("deciding");
  await plugin.ask(volume("Create"), { Name: "d", Opts: { lower: "/srv/a\\:b", decision: "unix:///run/decision.sock" } });
  const asked = await plugin.ask(volume("Mount"), { Name: "d", ID: "one" });
  expect(await scriptOutput(["cat", join(asked.Mountpoint ?? "", "file")])).toBe("text");
  expect(await plugin.ask(volume("Unmount"), { Name: "d", ID: "one" })).toEqual({});
  decision.kill("SIGTERM");
  await decision.finished;
});

test("a socket whose name is a number is a file, and no port of the network", async () => {
  const directory = scratch();
  const argv = [process.execPath, SLUICE, "volume-plugin", "--socket", "65000", "--root", join(directory, "root")];
  const plugin = startScript(argv, { cwd: directory, timeoutMs: 60_000 });
  await plugin.waitFor("volumes at");
  expect(statSync(join(directory, "65000")).isSocket()).toBe(true);
  plugin.kill("SIGTERM");
  expect(await plugin.finished).toMatchObject({ code: 0, stdout: `volumes at ${directory}/65000\n` });
});

test("bad options are named with what to do", async () => {
  const plugin = await withVolumes();
  const lower = plant(scratch(), { file: "text" });
  const policy = join(scratch(), "policy.yaml");
  writeFileSync(policy, "version: 1\ndefault: sometimes\n");
  const upper = join(scratch(), "upper");
  mkdirSync(upper);
  const cases: [string, Record<string, string>, RegExp][] = [
    ["v", {}, /^option lower is missing: write -o lower=/],
    ["v", { lower: "models" }, /^option lower: 'models' is not absolute/],
    ["v", { lower: "/nowhere" }, /^option lower: \/nowhere: there is no such directory \(ENOENT\): create it$/],
    ["v", { lower, upper }, /^option work is missing: upper and work belong together/],
    ["v", { lower, upper: "auto", work: upper }, /^option work: with upper=auto/],
    ["v", { lower, size: "10G" }, /^'size' is not an option: there are lower, upper, /],
    ["v", { lower, policy, decision: "unix:///x" }, /^option policy: it excludes decision/],
    ["../v", { lower }, /^'\.\.\/v' is no name for a volume/],
  ];
  for (const [Name, Opts, message] of cases) expect((await plugin.ask(volume("Create"), { Name, Opts })).Err).toMatch(message);
  expect(await plugin.ask(volume("Create"), { Name: "v", Opts: { lower, policy } })).toEqual({});
  expect(await plugin.ask(volume("Create"), { Name: "v", Opts: { policy, lower } })).toEqual({});
  expect((await plugin.ask(volume("Create"), { Name: "v", Opts: { lower } })).Err).toBe(
    "there is a volume v with other options: remove it first",
  );
  // The mount's own complaint.
  expect((await plugin.ask(volume("Mount"), { Name: "v", ID: "one" })).Err).toMatch(
    /policy\.yaml:2:10: 'default' is none of grant, mediate, deny/,
  );
  expect((await plugin.ask(volume("Mount"), { Name: "none", ID: "one" })).Err).toBe("there is no volume none");
  expect((await plugin.ask("VolumeDriver.Explode")).Err).toContain("no such call");
  expect(mountsBelow(plugin.root)).toEqual([]);
});
