/** An ordinary user gets no right by a mount of the host service that the user has not without it. Each test tries a way round that. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  bytes,
  charDevice,
  cleanUp,
  directory,
  eventually,
  file,
  mountsBelow,
  requires,
  runScript,
  scratch,
  type ScriptResult,
  startScript,
  symlink,
} from "@sluice/testkit";
import { expect } from "vitest";
import { OTHER, sluiceAs, startForUsers, USER, UserHome, usersShareHost } from "./user-home.js";

usersShareHost();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");

const text = (part: string): string => expect.stringContaining(part) as string;
const OWN = { uid: USER.uid, gid: USER.gid };

/** The mount of a tree as root would do it, undone at the end. */
async function asRoot(...argv: readonly string[]): Promise<void> {
  expect(await runScript(argv)).toMatchObject({ code: 0 });
}

async function mountTmpfs(at: string): Promise<void> {
  await asRoot("mount", "-t", "tmpfs", "-o", "mode=755", "none", at);
  cleanUp(async () => void (await runScript(["umount", "-l", at])));
}

/** The output has nothing of the secret. */
function expectNoSecret({ stdout }: ScriptResult): void {
  expect(stdout).not.toContain("secret");
}

describe("a user's mount shows nothing that the user may not see", () => {
  test("a private directory of a lower layer stays closed below an open one of the upper layer", async () => {
    const home = await UserHome.make({
      lower: { "private/": directory({ mode: 0o700 }), "private/word": file("secret"), "private/deep/word": file("secret") },
      upper: { "private/": directory({ mode: 0o755, ...OWN }) },
    });
    await home.mount();
    for (const script of ["cat private/word", "cat private/deep/word", "ls private", "ls private/deep", "mv private/word out; cat out"])
      expectNoSecret(await home.sh(script));
    expectNoSecret(await home.sh("mv private p; cat p/word; ls p"));
    expectNoSecret(await home.sh("cp -a private copy; cat copy/word"));
  });

  test("a private file stays closed, also by a copy-up, a link and a change of its mode", async () => {
    const home = await UserHome.make({ lower: { word: file("secret", { mode: 0o600 }), own: file("x", OWN) } });
    await home.mount();
    for (const script of [
      "cat word",
      "chmod 644 word; cat word",
      "ln word link; cat link",
      "echo >>word; cat word",
      "mv word own; cat own",
    ])
      expectNoSecret(await home.sh(script));
    expect(await home.sh("head -c 1 word", { uid: 0, gid: 0 })).not.toMatchObject({ code: 0 });
  });

  test("marks that the user made lead to no file elsewhere", async () => {
    const outside = scratch();
    const home = await UserHome.make({
      lower: {
        "closed/": directory({ mode: 0o700 }),
        "closed/word": file("secret"),
        "open/": directory(),
        hidden: file("secret", { mode: 0o600 }),
      },
      upper: {
        "r/": directory({ ...OWN, xattrs: { "user.overlay.redirect": "/closed", "trusted.overlay.redirect": "/closed" } }),
        "s/": directory({ ...OWN, xattrs: { "user.overlay.redirect": "../../../etc", "user.overlay.origin": Buffer.alloc(29, 1) } }),
        m: file("", {
          ...OWN,
          xattrs: { "user.overlay.metacopy": "", "user.overlay.redirect": "/hidden", "trusted.overlay.metacopy": "" },
        }),
      },
    });
    writeFileSync(join(outside, "word"), "secret", { mode: 0o600 });
    await home.mount();
    for (const script of ["cat r/word; ls r", "cat s/passwd; ls s", "cat m", "getfattr -d -m - r s m 2>&1"])
      expectNoSecret(await home.sh(script));
    expect((await home.sh("cat s/passwd")).stdout).not.toContain("root:");
  });

  test("a link in a layer leads no further than it leads the user", async () => {
    const home = await UserHome.make({ lower: { to: symlink("/etc/shadow"), up: symlink("../../../../etc"), own: symlink("word") } });
    const shadow = readFileSync("/etc/shadow", "latin1").split("\n")[0] as string;
    await home.mount();
    expect((await home.sh("cat to up/shadow; cp -L to copy; cat copy")).stdout).not.toContain(shadow);
  });

  test("a directory that another mount covers is not uncovered", async () => {
    const home = await UserHome.make({ lower: { "covered/": directory(), "covered/word": file("secret"), "other/": directory() } });
    await mountTmpfs(home.at("lower", "covered"));
    const refused = await home.try("--lower", home.at("lower"), home.mountpoint);
    expect(refused).toMatchObject({ code: 4, stderr: text("another mount lies below this lower layer") });
    const root = await home.try("--lower", "/", home.mountpoint);
    expect(root).toMatchObject({ code: 4 });
    expect(home.mounts).toBe(1);
  });

  test("set-user-id programs and devices of a layer have no effect", async () => {
    const home = await UserHome.make({
      lower: { null: charDevice(1, 3, { mode: 0o666 }) },
      upper: { zero: charDevice(1, 5, { mode: 0o666 }) },
    });
    await asRoot("cp", "/usr/bin/id", home.at("lower", "id"));
    chmodSync(home.at("lower", "id"), 0o4755);
    await home.mount();
    expect(await home.sh("./id -u")).toMatchObject({ stdout: `${USER.uid}\n` });
    expect(await home.sh("cat null")).toMatchObject({ code: 1 });
    expect(await home.sh("head -c 1 zero")).toMatchObject({ code: 1 });
    expect(await home.sh("mknod made c 1 3")).toMatchObject({ code: 1 });
  });
});

describe("a user's mount changes nothing that the user may not change", () => {
  test("files of others in the upper layer stay as they are", async () => {
    const home = await UserHome.make({
      lower: { readable: file("theirs") },
      upper: { theirs: file("theirs", { mode: 0o644 }), "dir/": directory({ mode: 0o755 }), "dir/f": file("theirs") },
    });
    await home.mount();
    expect(await home.sh("cat theirs dir/f readable")).toMatchObject({ stdout: "theirstheirstheirs" });
    await home.sh(
      "echo mine >theirs; chmod 666 theirs; chown $(id -u) theirs; echo mine >dir/f; echo mine >dir/g; rm -f dir/f; truncate -s 0 theirs",
    );
    expect(readFileSync(home.at("upper", "theirs"), "utf8")).toBe("theirs");
    expect(readFileSync(home.at("upper", "dir", "f"), "utf8")).toBe("theirs");
    expect(existsSync(home.at("upper", "dir", "g"))).toBe(false);
  });

  test("a directory of somebody else is no upper layer", async () => {
    const home = await UserHome.make({});
    const [upper, work] = ["theirs", "their-work"].map((name) => home.at(name)) as [string, string];
    for (const path of [upper, work]) mkdirSync(path);
    const refused = await home.try("--lower", home.at("lower"), "--upper", upper, "--work", work, home.mountpoint);
    expect(refused).toMatchObject({ code: 4, stderr: text("it cannot be written (EACCES)") });
    expect([home.mounts, existsSync(join(work, "work"))]).toEqual([0, false]);
  });

  test("a file that turns private stays closed to opens that come later", async () => {
    const home = await UserHome.make({ lower: { word: file("public") } });
    await home.mount();
    expect(await home.sh("cat word")).toMatchObject({ stdout: "public" });
    chmodSync(home.at("lower", "word"), 0o600);
    writeFileSync(home.at("lower", "word"), "secret");
    // The kernel shows cached attributes; the server opens the file itself, or refuses.
    expectNoSecret(await home.sh("cat word"));
  });
});

describe("a mount point of the host service", () => {
  test("is a directory of the user that nothing covers, on a file system of files", async () => {
    const home = await UserHome.make({});
    const theirs = join(scratch(), "theirs");
    mkdirSync(theirs, { mode: 0o777 });
    chmodSync(theirs, 0o777);
    expect(await home.try(...home.layers, theirs)).toMatchObject({ code: 4, stderr: text("belongs to somebody else (EPERM)") });
    const sticky = join(scratch(), "sticky");
    mkdirSync(sticky);
    chmodSync(sticky, 0o1777);
    expect(await home.try(...home.layers, sticky)).toMatchObject({ code: 4 });
    const own = startScript(["sleep", "60"], { as: USER });
    await eventually("the process is the user's", 30_000, () =>
      readFileSync(`/proc/${own.pid}/status`, "utf8").includes(`Uid:\t${USER.uid}`),
    );
    expect(await home.try(...home.layers, "-o", "nonempty", `/proc/${own.pid}/fd`)).toMatchObject({
      code: 4,
      stderr: text("of the type proc"),
    });
    own.kill();
  });

  test("is never one of another mount namespace", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    const script = `mount --bind "$1" "$1" && shift && exec setpriv --reuid=${USER.uid} --regid=${USER.gid} --clear-groups "$@"`;
    const cli = ["packages/cli/bin/sluice.cjs", ...home.words("--background", ...home.layers, home.mountpoint)];
    const argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", home.path, process.execPath, ...cli];
    expect(await runScript(argv)).toMatchObject({ code: 4, stderr: text("in another mount namespace") });
    expect(home.mounts).toBe(0);
  });

  test("is reached by its directory at the end, whatever its path leads to by then", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    const victim = scratch();
    const place = home.at("place");
    mkdirSync(join(place, "at"), { recursive: true });
    for (const path of [place, join(place, "at")]) chownSync(path, USER.uid, USER.gid);
    mkdirSync(join(victim, "at"));
    await mountTmpfs(join(victim, "at"));
    const command = startScript([process.execPath, "packages/cli/bin/sluice.cjs", ...home.words(...home.layers, join(place, "at"))], {
      as: USER,
    });
    await command.waitFor("mounted ");
    const swap = 'mv "$1" "$1.away" && ln -s "$2" "$1"';
    expect(await runScript(["sh", "-c", swap, "sh", place, victim], { as: USER })).toMatchObject({ code: 0 });
    expect(await runScript(["cat", join(`${place}.away`, "at", "word")], { as: USER })).toMatchObject({ stdout: "x" });
    command.kill("SIGTERM");
    await command.finished;
    expect(mountsBelow(bytes(home.path))).toEqual([]);
    expect(mountsBelow(bytes(victim)).map(({ mountpoint }) => basename(mountpoint))).toEqual(["at"]);
  });
});

/** A client that speaks to the service as it likes: FDS are opened O_PATH unless they begin with "r:". */
const HOSTILE = `
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const [socket, bytes, ...paths] = process.argv.slice(1);
const connection = native.seqpacketConnect(socket);
if (connection < 0) throw new Error("no connection: " + connection);
const fds = paths.map((path) => native.openat(-100, path.replace(/^r:/, ""), path.startsWith("r:") ? 0o4000 : 0o10000000, 0));
const record = Buffer.from(bytes);
if (bytes !== "") native.sendMessage(connection, record, record.length, Int32Array.from(fds), fds.length, 1000);
const answer = Buffer.alloc(9000);
for (let got = 1; got > 0 || got === -104; ) {
  got = native.receiveMessage(connection, answer, new Int32Array(0), 25000);
  if (got > 0) console.log(answer.toString("utf8", 0, got & 0xffff));
}
`;

const FORM = {
  ...{ version: 2, attached: true, lowers: 1, writable: false, policy: false, mountFlags: 1, xino: "auto", nonEmpty: false },
  ...{ policyName: "policy.yaml", session: false, control: false, answers: false, decisionLog: false, formerUppers: 0 },
  ...{ coherentReaders: false, sharedLower: false, cacheTtlMs: 1000, maxStackDepth: 1, locks: "auto", onOutage: "deny", staleForMs: 1 },
  ...{ decisionTimeoutMs: 5000, askTimeoutMs: null, graceMs: 1000, name: null, logLevel: "info" },
};

describe("a hostile client of the host service", () => {
  test("gets nothing by a request of another form", async () => {
    const home = await UserHome.make({ lower: { word: file("secret", { mode: 0o600 }) } });
    const socket = join(home.host.socket, "..", "users.sock");
    const say = (form: unknown, ...paths: readonly string[]): Promise<ScriptResult> =>
      runScript(HOSTILE, { as: USER, args: [socket, typeof form === "string" ? form : JSON.stringify(form), ...paths] });
    const [mount, lower, word] = [home.mountpoint, home.at("lower"), home.at("lower", "word")];
    const malformed: readonly (readonly [unknown, ...string[]])[] = [
      ["garbage", mount, lower],
      [{ ...FORM, version: 1 }, mount, lower],
      [{ ...FORM, control: true }, mount, lower, lower],
      [{ ...FORM, decisionLog: true }, mount, lower],
      [{ ...FORM, formerUppers: 2 }, mount, lower],
      ...["../x.yaml", "/x.yaml", "control.sock", "x\n.yaml"].map((policyName) => [{ ...FORM, policyName }, mount, lower] as const),
      [{ ...FORM, session: true }, mount, lower, lower],
      [{ ...FORM, mountFlags: 4096 }, mount, lower],
      [{ ...FORM, lowers: 0 }, mount],
      [{ ...FORM, lowers: 2 }, mount, lower],
      [FORM, mount, lower, lower],
      [{ ...FORM, name: "a\nb" }, mount, lower],
      [{ ...FORM, more: 1 }, mount, lower],
      [{ ...FORM, __proto__: null, user: 0 }, mount, lower],
      [[FORM], mount, lower],
    ];
    for (const [form, ...paths] of malformed) expect(await say(form, ...paths)).toMatchObject({ stdout: text("the request is malformed") });
    expect(await say(FORM, mount, word)).toMatchObject({ stdout: text("not a directory") });
    expect(await say(FORM, mount, `r:${home.at("nothing")}`)).toMatchObject({ stdout: text("") });
    expect(await say({ ...FORM, writable: true }, mount, lower, "/", "/etc", "/var")).toMatchObject({ stdout: text("x") });
    for (const life of ["/dev/null", lower, word])
      expect(await say({ ...FORM, session: true }, mount, lower, lower, life)).toMatchObject({ stdout: text("this part of a session") });
    expect(await say({ ...FORM, session: true }, mount, lower, "/proc/self/fd", lower)).toMatchObject({ stdout: text("of the type proc") });
    expect(await say({ ...FORM, policy: true }, mount, lower, "/dev/null")).not.toMatchObject({ stdout: text("mounted") });
    expect(home.mounts).toBe(0);
  });

  test("hinders nobody else by its silence, and not itself for ever", async () => {
    const host = await startForUsers(2);
    const socket = join(host.socket, "..", "users.sock");
    const silent = [0, 1].map(() => startScript(HOSTILE, { as: OTHER, args: [socket, ""], timeoutMs: 150_000 }));
    const home = await UserHome.make({ lower: { word: file("x") } }, host);
    await home.mount();
    for (const { finished } of silent) expect(await finished).toMatchObject({ stdout: text("sent no request") });
    expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
  });

  test("hangs only its own request with a directory that does not answer", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    const hung = home.at("hung");
    mkdirSync(hung);
    chownSync(hung, USER.uid, USER.gid);
    // A file system of the user whose server takes every request and answers none.
    const server = startScript(
      `import { spawnSync } from "node:child_process";
       const { native } = await import(process.env.SLUICE_NATIVE_URL);
       const fd = native.fuseOpen();
       const data = "fd=" + fd + ",rootmode=40000,user_id=${USER.uid},group_id=${USER.gid}";
       if (native.mount("hung", process.argv[1], "fuse", 6, data) < 0) throw new Error("no mount");
       console.log("hangs");
       setInterval(() => undefined, 1000);`,
      { args: [hung], timeoutMs: 150_000 },
    );
    await server.waitFor("hangs");
    cleanUp(async () => void (await runScript(["umount", "-l", hung])));
    const request = startScript([process.execPath, "packages/cli/bin/sluice.cjs", ...home.words("--lower", hung, home.mountpoint)], {
      as: USER,
      timeoutMs: 150_000,
    });
    const other = await UserHome.make({ lower: { word: file("x") } }, home.host);
    await other.mount();
    expect(await other.sh("cat word")).toMatchObject({ stdout: "x" });
    server.kill("SIGKILL");
    await request.finished;
    expect(mountsBelow(bytes(home.mountpoint))).toEqual([]);
  });

  test("cannot end the mount of another user", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    await home.mount();
    expect(await sluiceAs(OTHER, "unmount", "--force", home.mountpoint)).not.toMatchObject({ code: 0 });
    expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
  });
});
