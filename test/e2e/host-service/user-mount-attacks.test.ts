/** An ordinary user gets no right by a mount of the host service that the user has not without it. Each test tries a way round that. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  begunEarly,
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
  type Credentials,
  type Tree,
} from "@sluice/testkit";
import { runDirectories } from "@sluice/mount-control";
import { beforeAll, expect } from "vitest";
import { FORM, HOSTILE, type Request } from "./hostile-client.js";
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

/** One mount, with a directory for each test that needs no mount of its own. */
let shared: UserHome;

const LOWER: Tree = {
  "closed/private/": directory({ mode: 0o700 }),
  "closed/private/word": file("secret"),
  "closed/private/deep/word": file("secret"),
  "file/word": file("secret", { mode: 0o600 }),
  "file/own": file("x", OWN),
  "marks/closed/": directory({ mode: 0o700 }),
  "marks/closed/word": file("secret"),
  "marks/open/": directory(),
  "marks/hidden": file("secret", { mode: 0o600 }),
  "links/to": symlink("/etc/shadow"),
  "links/up": symlink("../../../../../etc"),
  "links/own": symlink("word"),
  "special/null": charDevice(1, 3, { mode: 0o666 }),
  "others/readable": file("theirs"),
  "turns/word": file("public"),
};
const UPPER: Tree = {
  "closed/private/": directory({ mode: 0o755, ...OWN }),
  "marks/r/": directory({
    ...OWN,
    xattrs: { "user.overlay.redirect": "/marks/closed", "trusted.overlay.redirect": "/marks/closed" },
  }),
  "marks/s/": directory({ ...OWN, xattrs: { "user.overlay.redirect": "../../../etc", "user.overlay.origin": Buffer.alloc(29, 1) } }),
  "marks/m": file("", {
    ...OWN,
    xattrs: { "user.overlay.metacopy": "", "user.overlay.redirect": "/marks/hidden", "trusted.overlay.metacopy": "" },
  }),
  "special/zero": charDevice(1, 5, { mode: 0o666 }),
  "others/theirs": file("theirs", { mode: 0o644 }),
  "others/dir/": directory({ mode: 0o755 }),
  "others/dir/f": file("theirs"),
};
const OWN_DIRECTORIES: Tree = Object.fromEntries(
  ["closed", "file", "marks", "links", "special", "others", "turns"].map((name) => [`${name}/`, directory(OWN)]),
);

beforeAll(async () => {
  shared = await UserHome.make({ lower: { ...OWN_DIRECTORIES, ...LOWER }, upper: { ...OWN_DIRECTORIES, ...UPPER } });
  const program = shared.at("lower", "special", "id");
  await asRoot("cp", "/usr/bin/id", program);
  chmodSync(program, 0o4755);
  await shared.mount();
});

/** A shell script in a directory of the shared mount. */
function within(name: string): (script: string, as?: Credentials) => Promise<ScriptResult> {
  return (script, as) => shared.sh(`cd ${name} || exit 99; ${script}`, as);
}

describe("a user's mount shows nothing that the user may not see", () => {
  test("a private directory of a lower layer stays closed below an open one of the upper layer", async () => {
    const sh = within("closed");
    expect(await sh("ls")).toMatchObject({ code: 0, stdout: "private\n" });
    for (const script of ["cat private/word", "cat private/deep/word", "ls private", "ls private/deep", "mv private/word out; cat out"])
      expectNoSecret(await sh(script));
    expectNoSecret(await sh("mv private p; cat p/word; ls p"));
    expectNoSecret(await sh("cp -a private copy; cat copy/word"));
  });

  test("a private file stays closed, also by a copy-up, a link and a change of its mode", async () => {
    const sh = within("file");
    expect(await sh("cat own")).toMatchObject({ stdout: "x" });
    for (const script of [
      "cat word",
      "chmod 644 word; cat word",
      "ln word link; cat link",
      "echo >>word; cat word",
      "mv word own; cat own",
    ])
      expectNoSecret(await sh(script));
    expect(await sh("head -c 1 word", { uid: 0, gid: 0 })).not.toMatchObject({ code: 0 });
  });

  test("marks that the user made lead to no file elsewhere", async () => {
    const sh = within("marks");
    expect((await sh("ls")).stdout).toContain("open\n");
    for (const script of ["cat r/word; ls r", "cat s/passwd; ls s", "cat m", "getfattr -d -m - r s m 2>&1"])
      expectNoSecret(await sh(script));
    expect((await sh("cat s/passwd")).stdout).not.toContain("root:");
  });

  test("a link in a layer leads no further than it leads the user", async () => {
    const sh = within("links");
    const shadow = readFileSync("/etc/shadow", "latin1").split("\n")[0] as string;
    expect((await sh("ls")).stdout).toContain("to\n");
    expect((await sh("cat to up/shadow; cp -L to copy; cat copy")).stdout).not.toContain(shadow);
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
    const sh = within("special");
    expect(await sh("./id -u")).toMatchObject({ stdout: `${USER.uid}\n` });
    expect(await sh("cat null")).toMatchObject({ code: 1 });
    expect(await sh("head -c 1 zero")).toMatchObject({ code: 1 });
    expect(await sh("mknod made c 1 3")).toMatchObject({ code: 1 });
  });
});

describe("a user's mount changes nothing that the user may not change", () => {
  test("files of others in the upper layer stay as they are", async () => {
    const sh = within("others");
    expect(await sh("cat theirs dir/f readable")).toMatchObject({ stdout: "theirstheirstheirs" });
    await sh(
      "echo mine >theirs; chmod 666 theirs; chown $(id -u) theirs; echo mine >dir/f; echo mine >dir/g; rm -f dir/f; truncate -s 0 theirs",
    );
    const upper = shared.at("upper", "others");
    expect(readFileSync(join(upper, "theirs"), "utf8")).toBe("theirs");
    expect(readFileSync(join(upper, "dir", "f"), "utf8")).toBe("theirs");
    expect(existsSync(join(upper, "dir", "g"))).toBe(false);
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
    const sh = within("turns");
    expect(await sh("cat word")).toMatchObject({ stdout: "public" });
    const word = shared.at("lower", "turns", "word");
    chmodSync(word, 0o600);
    writeFileSync(word, "secret");
    // The kernel shows cached attributes; the server opens the file itself, or refuses.
    expectNoSecret(await sh("cat word"));
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

describe("the directory of a mount's sockets", () => {
  test("goes with all that its user put there, and with nothing that a link in it leads to", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    const command = await home.mount();
    const [directory = ""] = runDirectories(home.mountpoint);
    const victim = scratch();
    writeFileSync(join(victim, "kept"), "");
    const script = `
      mkdir -p "$0/deep/closed" && echo y >"$0/deep/closed/file" && chmod 0 "$0/deep/closed" &&
      ln -s "$1" "$0/link" && ln -s "$1/kept" "$0/deep/link" && mkfifo "$0/fifo" && : >"$0/$(printf '\\377')"`;
    expect(await runScript(["sh", "-c", script, directory, victim], { as: USER })).toMatchObject({ code: 0, stderr: "" });
    command.kill("SIGTERM");
    const { code, stderr } = await command.finished;
    expect(code).toBe(0);
    expect(stderr).not.toContain("cannot be removed");
    expect([existsSync(directory), existsSync(join(victim, "kept"))]).toEqual([false, true]);
  });
});

/** The service waits ten seconds for a request. */
const silence = begunEarly(async () => {
  const host = await startForUsers(2);
  const socket = join(host.socket, "..", "users.sock");
  const silent = [0, 1].map(() => startScript(HOSTILE, { as: OTHER, args: [socket, JSON.stringify([""])], timeoutMs: 150_000 }));
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  await home.mount();
  for (const { finished } of silent) expect(await finished).toMatchObject({ stdout: text("sent no request") });
  expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
});

describe("a hostile client of the host service", () => {
  test("gets nothing by a request of another form", async () => {
    const home = await UserHome.make({ lower: { word: file("secret", { mode: 0o600 }) } });
    const socket = join(home.host.socket, "..", "users.sock");
    /** The answers to each. */
    const say = async (requests: readonly Request[]): Promise<string[]> => {
      const texts = requests.map(([form, ...paths]) => JSON.stringify([typeof form === "string" ? form : JSON.stringify(form), ...paths]));
      const { stdout, stderr } = await runScript(HOSTILE, { as: USER, args: [socket, ...texts] });
      expect(stderr).toBe("");
      return stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as string);
    };
    const [mount, lower, word] = [home.mountpoint, home.at("lower"), home.at("lower", "word")];
    const malformed: readonly Request[] = [
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
    const refused: readonly (readonly [string, Request])[] = [
      ...malformed.map((request) => ["the request is malformed", request] as const),
      ["not a directory", [FORM, mount, word]],
      ...["/dev/null", lower, word].map(
        (life) =>
          [
            "the socket of a session's life is no unix socket of records (EINVAL)",
            [{ ...FORM, session: true }, mount, lower, lower, life],
          ] as const,
      ),
      ["its descriptor cannot be read (EBADF)", [{ ...FORM, policy: true }, mount, lower, word]],
      ["of the type proc", [{ ...FORM, session: true }, mount, lower, "/proc/self/fd", lower]],
    ];
    const answers = await say(refused.map(([, request]) => request));
    expect(answers).toEqual(refused.map(([why]) => text(why)));
    const others: readonly Request[] = [
      [{ ...FORM, writable: true }, mount, lower, "/", "/etc", "/var"],
      [{ ...FORM, policy: true }, mount, lower, "/dev/null"],
    ];
    const [foreign, device] = await say(others);
    expect(foreign).toMatch(/^x/m);
    expect(device).not.toContain("mounted");
    expect(home.mounts).toBe(0);
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
    expect(await sluiceAs(OTHER, "unmount", "--force", shared.mountpoint)).not.toMatchObject({ code: 0 });
    expect(await within("turns")("ls")).toMatchObject({ stdout: "word\n" });
  });

  test("hinders nobody else by its silence, and not itself for ever", silence);
});
