/** `sluice explain` tells how an open would be served, and changes nothing itself. */
import { connect } from "node:net";
import { join } from "node:path";
import {
  mountSluice,
  mountsShareProcess,
  plant,
  requires,
  runSluice,
  scratch,
  type SluiceMount,
  startScript,
  treeHash,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

const POLICY = `version: 1
revision: 3
default: grant
rules:
  - { name: secrets, path: "secret/**", effect: deny, errno: EPERM }
  - { name: metered, path: "media/**", effect: mediate, obligations: { readBytesPerSecond: 1000000 } }
  - { name: only-root, path: "admin/**", subject: { uid: 1000 }, effect: deny }
  - { name: tools, path: "tools/**", subject: { executable: /usr/bin/evil }, effect: deny }
`;

interface Told {
  effect: string;
  rule: string;
  layer: string;
  source: string;
  errno: string | null;
  names: string[];
  revision: { sequence: string };
  missing: { name: string }[];
  scope: { subtree: string | null; subject: string[] } | null;
  opened: { flow: string; because: string | null; copiesUp: boolean } | null;
}

interface Served {
  mount: SluiceMount;
  layers: string[];
  /** Through the control socket, as the command does it; the command itself takes a second to start. */
  explained(path: string, change?: object): Promise<Told>;
}

function ask(socket: string, request: object): Promise<Told> {
  return new Promise((resolve, reject) => {
    let text = "";
    const control = connect(socket, () => void control.write(`${JSON.stringify(request)}\n`));
    control.on("error", reject);
    control.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    control.on("end", () => {
      const line = JSON.parse(text.split("\n")[0] as string) as { item: Told } | { error: string };
      if ("item" in line) resolve(line.item);
      else reject(new Error(line.error));
    });
  });
}

async function mounted(): Promise<Served> {
  const [lower, upper, work] = [scratch(), scratch(), scratch()];
  const socket = join(scratch(), "c.sock");
  plant(lower, { "a/b": "x", "secret/key": "k", "media/v": "v", "admin/x": "x", "tools/t": "t" });
  const mount = await mountSluice({ lowers: [lower], upper, work, policy: POLICY, args: ["--control", socket] });
  const asked = { method: "explain", accesses: ["read"], uid: 0, gid: 0, groups: [] };
  return { mount, layers: [lower, upper], explained: (path, change = {}) => ask(socket, { ...asked, path, ...change }) };
}

test("tells rule, revision, scope, source and layer, and how the file would be opened", async () => {
  const { mount, layers, explained } = await mounted();
  const before = layers.map((layer) => treeHash(layer));
  expect(await explained("a/b")).toMatchObject({
    effect: "grant",
    rule: "default",
    revision: { sequence: "3" },
    source: "service",
    layer: "lower0",
    scope: { subtree: "a" },
    opened: { flow: "passthrough", because: null, copiesUp: false },
  });
  await expect.poll(async () => (await explained("a/b")).source).toBe("cache");
  expect(await explained("a/b", { accesses: ["read", "write"] })).toMatchObject({ opened: { flow: "passthrough", copiesUp: true } });
  expect(await explained("secret/key")).toMatchObject({ effect: "deny", rule: "secrets", errno: "EPERM", opened: null });
  expect(await explained("media/v")).toMatchObject({ effect: "mediate", rule: "metered", opened: { flow: "mediated", because: null } });
  expect(await explained("admin/x", { uid: 1000 })).toMatchObject({ effect: "deny", rule: "only-root", scope: { subject: ["uid"] } });
  expect(await explained("admin/x", { uid: 1001 })).toMatchObject({ effect: "grant" });
  expect(await explained("tools/t")).toMatchObject({ effect: "deny", rule: "tools", missing: [{ name: "subject.executable" }] });
  expect(await explained("tools/t", { executable: "/usr/bin/cat" })).toMatchObject({ effect: "grant", missing: [] });
  await expect(explained("a/nothing")).rejects.toThrow("'a/nothing' cannot be looked at (ENOENT)");
  await expect(explained("../etc/passwd")).rejects.toThrow("unknown request");
  // The call opened, copied up and counted nothing.
  expect(layers.map((layer) => treeHash(layer))).toEqual(before);
  expect(await mount.status()).toMatchObject({ decisions: {}, copyUps: { count: 0 }, overlay: { openFiles: 0 } });
});

test("explain predicts the open, before a copy-up and after it", async () => {
  const { mount, explained } = await mounted();
  const said = await explained("a/b", { accesses: ["write"] });
  expect(said).toMatchObject({ layer: "lower0", opened: { flow: "passthrough", copiesUp: true } });
  const open = startScript(["sh", "-c", 'exec 3>>"$0"; echo open; read -r x', mount.path("a/b")]);
  await expect.poll(async () => ((await mount.grants()) as { mode: string }[]).map(({ mode }) => mode)).toEqual([said.opened?.flow]);
  expect(await explained("a/b", { accesses: ["write"] })).toMatchObject({
    layer: "upper",
    opened: { flow: "passthrough", copiesUp: false },
  });
  open.kill();
  await open.finished;
});

test("explains in sentences, and in one line if there is nothing to explain", async () => {
  const { mount, explained } = await mounted();
  const words = await runSluice(["explain", mount.path("secret/key")]);
  expect(words.stdout).toMatch(/^effect {7}deny\nrule {9}secrets\n[^]*^opened {7}not at all: EPERM$/m);
  await expect.poll(async () => (await explained("a/b")).source).toBe("cache");
  const cached = await runSluice(["explain", mount.path("a/b")]);
  expect(cached.stdout).toMatch(/^source {7}cache .*\nscope {8}holds for this file: an answer from the mount's cache/m);
  const nowhere = await runSluice(["explain", join(scratch(), "x")]);
  expect(nowhere).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/^sluice: .* it is not on a mount of Sluice: .*\n$/) as string,
  });
  const nobody = await runSluice(["explain", mount.path("a/b"), "--uid", "4294967296"]);
  expect(nobody).toMatchObject({ code: 2, stderr: "sluice: --uid 4294967296: it is no id: write one from 0 to 4294967295\n" });
  const missing = await runSluice(["explain", mount.path("a/nothing")]);
  expect(missing).toMatchObject({ code: 4, stdout: "" });
  expect(missing.stderr).toMatch(
    /^sluice: .*a\/nothing: there is no such file \(ENOENT\): name a file that exists, .*'sluice policy explain'/,
  );
});
