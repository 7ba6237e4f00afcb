/** `sluice mount --config` and `--background`: the same options in a file, and a mount that outlives its command. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, descendantsOf, isAlive, mountsBelow, plant, requires, runScript, runSluice, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));

interface ConfigDirectory {
  root: string;
  at: string;
  config(text: string): string;
}

function configDirectory(): ConfigDirectory {
  const root = scratch();
  const names = ["lower", "with:colon", "upper", "work", "merged"].map((name) => join(root, name));
  for (const path of names) mkdirSync(path);
  plant(join(root, "lower"), { a: "a" });
  plant(join(root, "with:colon"), { b: "b" });
  const config = (text: string): string => {
    const path = join(root, "sluice.yaml");
    writeFileSync(path, text.replaceAll("ROOT", root));
    return path;
  };
  return { root, at: join(root, "merged"), config };
}

const WHOLE = `
mountpoint: ROOT/merged
lower: [ROOT/lower, "ROOT/with:colon"]
upper: ROOT/upper
work: ROOT/work
options: [volatile]
coherent-readers: true
max-stack-depth: 1
on-revoke: report
name: from the file
background: true
log-file: ROOT/log
`;

test("a background mount from a file is live when the command ends, and command-line options override the file", async () => {
  const { root, at, config } = configDirectory();
  const file = config(WHOLE);
  cleanUp(async () => void (await runScript(["umount", "-l", at])));
  const started = await runSluice(["mount", "--config", file, "--name", "typed"]);
  expect(started).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^mounted .*merged \(2 lower \+ upper; /) });
  const status = JSON.parse((await runSluice(["status", "--json", at])).stdout) as { name: string; lowers: string[]; upper: string };
  expect(status).toMatchObject({ name: "typed", lowers: [join(root, "lower"), join(root, "with:colon")], upper: join(root, "upper") });
  expect((await runScript(["ls", at])).stdout).toBe("a\nb\n");
  expect(readFileSync(join(root, "log"), "utf8")).toContain('"msg":"mounted"');
  expect(await runSluice(["unmount", at])).toMatchObject({ code: 0 });
});

test("a failure in the background comes back with its line and its exit code", async () => {
  const { root, at } = configDirectory();
  const log = ["--background", "--log-file", join(root, "log")];
  const missing = await runSluice(["mount", ...log, "--lower", join(root, "none"), at]);
  expect(missing).toMatchObject({
    code: 4,
    stdout: "",
    stderr: expect.stringMatching(/^sluice: .*none: lower layer: there is no such directory/),
  });
  const unlogged = await runSluice(["mount", "--background", "--lower", join(root, "lower"), at]);
  expect(unlogged).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^sluice: --background: there is no place for the log: add --log-file/),
  });
});

test("a mistake in the file is reported with its place", async () => {
  const { root, config } = configDirectory();
  const refused = async (text: string): Promise<string> => {
    const { code, stderr } = await runSluice(["mount", "--config", config(text)]);
    expect(code, stderr).toBe(2);
    return stderr.replace(join(root, "sluice.yaml"), "FILE");
  };
  const layers = "mountpoint: ROOT/merged\nlower: ROOT/lower\n";
  expect(await refused(`${layers}uper: x\n`)).toMatch(/^sluice: FILE:3:1: uper: unknown mount option: did you mean 'upper'\?\n$/);
  expect(await refused(`${layers}nonsense: x\n`)).toMatch(/^sluice: FILE:3:1: nonsense: unknown mount option: use one of .*upper.*\n$/);
  expect(await refused(`${layers}on-outage: maybe\n`)).toBe(
    'sluice: FILE:3:1: on-outage: "maybe" is none of deny, mediate, stale: choose one of them\n',
  );
  expect(await refused(`${layers}coherent-readers: perhaps\n`)).toMatch(
    /^sluice: FILE:3:1: coherent-readers: it is neither true nor false/,
  );
  expect(await refused(`${layers}upper: [a, b]\n`)).toMatch(/^sluice: FILE:3:1: upper: its value is neither text nor a number/);
  expect(await refused("lower: {a: b}\n")).toMatch(/^sluice: FILE:1:1: lower: it is not a list of names/);
  expect(await refused("lower: [a\n")).toMatch(/^sluice: FILE:2:1: this is not YAML: Flow sequence .* end with a \]: repair the line\n$/);
  expect(await refused("lower: a\nlower: b\n")).toBe("sluice: FILE:2:1: this is not YAML: Map keys must be unique: repair the line\n");
  expect(await refused("- lower\n")).toMatch(/^sluice: FILE:1:1: it is not a mapping of keys to values/);
  expect(await refused("lower: ROOT/lower\n")).toMatch(/^sluice: mount: no mount point is given/);
  expect((await runSluice(["mount", "--config", join(root, "none.yaml")])).stderr).toMatch(
    /none\.yaml: the configuration cannot be read \(ENOENT\)/,
  );
});

test("a configuration with a byte that is not UTF-8, or half of a character, is refused with its place", async () => {
  const { root, config } = configDirectory();
  const path = config("");
  const refused = async (text: string): Promise<string> => {
    writeFileSync(path, Buffer.from(text, "latin1"));
    const { code, stderr } = await runSluice(["mount", "--config", path]);
    expect(code, stderr).toBe(2);
    return stderr.replace(join(root, "sluice.yaml"), "FILE");
  };
  expect(await refused("upper: /a\nlower: /caf\xe9\n")).toBe("sluice: FILE:2:12: it is not UTF-8: save it as UTF-8\n");
  const half = "it holds half of a character: write the whole character\n";
  expect(await refused('lower: ["/a", "/b\\ud800"]\n')).toBe(`sluice: FILE:1:1: lower: ${half}`);
  expect(await refused('mountpoint: "/b\\udc80"\n')).toBe(`sluice: FILE:1:1: mountpoint: ${half}`);
});

test("a signal to a command whose mount in the background does not serve yet ends the mount, too, and leaves no file", async () => {
  const { root, at } = configDirectory();
  const [other, temporary, log] = ["other", "tmp", "log"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [other, temporary]) mkdirSync(path);
  const layers = ["--lower", join(root, "lower"), "--upper", join(root, "upper"), "--work", join(root, "work")];
  cleanUp(async () => void (await runSluice(["unmount", other])));
  expect(await runSluice(["mount", "--background", "--log-file", log, ...layers, other])).toMatchObject({ code: 0 });
  for (const signal of ["SIGHUP", "SIGTERM", "SIGINT"] as const) {
    // It waits for two seconds, since the other mount has the upper layer.
    const argv = [process.execPath, CLI, "mount", "--background", "--log-file", log, ...layers, at];
    const command = startScript(argv, { env: { TMPDIR: temporary } });
    await expect.poll(() => descendantsOf(command.pid)).toHaveLength(1);
    const [server] = descendantsOf(command.pid);
    command.kill(signal);
    expect(await command.finished).toMatchObject({
      code: 1,
      signal: null,
      stderr: expect.stringMatching(/: it was told to end before .*\n$/),
    });
    await expect.poll(() => server !== undefined && isAlive(server)).toBe(false);
    expect([mountsBelow(at), readdirSync(temporary)]).toEqual([[], []]);
  }
});
