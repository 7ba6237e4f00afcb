/** A host service makes mounts for ordinary users: with passthrough, by a server with the user's rights and no others. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { eventually, file, policyOf, requires, runScript, runSluice, scratch, startScript, threadStatuses } from "@sluice/testkit";
import { expect } from "vitest";
import { GROUP, OTHER, sluiceAs, startForUsers, USER, UserHome, usersShareHost } from "./user-home.js";

usersShareHost();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");
const { test: passingThrough } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "FUSE passthrough",
  "command setpriv",
  "checkout that every user can read",
);

const text = (part: string): string => expect.stringContaining(part) as string;

function statusOf(pid: number): string {
  return [...threadStatuses(pid).values()].join("\n");
}

describe("a host service with mounts for users", () => {
  passingThrough("passes an ordinary user's opens through", async () => {
    const home = await UserHome.make({ lower: { word: file("lower") } });
    const command = await home.mount();
    expect(command.stdout()).toContain("passthrough on");
    const holder = startScript(["sh", "-c", 'cd "$0"; exec 3<word 4>>own; cat word; echo x >&4; echo; read -r _', home.mountpoint], {
      as: USER,
    });
    await eventually("both files pass through", 30_000, async () => {
      const { stdout } = await sluiceAs(USER, "grants", "--json", home.mountpoint);
      return (JSON.parse(stdout || "[]") as { mode: string }[]).filter(({ mode }) => mode === "passthrough").length === 2;
    });
    holder.write("go\n");
    expect(await holder.finished).toMatchObject({ stdout: "lower\n", stderr: "" });
    expect(readFileSync(home.at("upper", "own"), "utf8")).toBe("x\n");
  });

  test("serves by a process with the user's ids and groups, and without any capability", async () => {
    const home = await UserHome.make({ lower: { shared: file("for the group", { mode: 0o040, gid: GROUP }) } });
    await home.mount();
    expect(await home.sh("cat shared")).toMatchObject({ stdout: "for the group" });
    const { pid } = JSON.parse((await runSluice(["status", "--json", home.mountpoint])).stdout) as { pid: number };
    const status = statusOf(pid);
    const [uid, gid] = [USER.uid, USER.gid];
    for (const line of status.match(/^Uid:.*$/gm) ?? []) expect(line).toBe(`Uid:\t${uid}\t${uid}\t${uid}\t${uid}`);
    for (const line of status.match(/^Gid:.*$/gm) ?? []) expect(line).toBe(`Gid:\t${gid}\t${gid}\t${gid}\t${gid}`);
    for (const line of status.match(/^Groups:.*$/gm) ?? []) expect(line.trim()).toBe(`Groups:\t${GROUP}`);
    for (const line of status.match(/^Cap(Inh|Prm|Eff|Amb):.*$/gm) ?? []) expect(line).toMatch(/\t0{16}$/);
    expect(status).not.toMatch(/^NoNewPrivs:\s+0$/m);
    expect(statSync(`/proc/${pid}/environ`).uid).toBe(0);
  });

  test("mounts for that user alone, without set-user-id programs and devices", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    await home.mount("-o", "suid,dev");
    const row = readFileSync("/proc/self/mountinfo", "latin1")
      .split("\n")
      .find((line) => line.includes(home.mountpoint));
    expect(row).toMatch(/rw,nosuid,nodev,.*user_id=12345,group_id=12345,default_permissions$/);
    for (const as of [OTHER, { uid: 0, gid: 0 }]) expect(await home.sh("cat word", as)).toMatchObject({ code: 2 });
  });

  test("changes files of the user, and gives new ones a group of the user", async () => {
    const home = await UserHome.make({ lower: { "d/f": file("old", USER) } });
    await runScript(["chown", "-R", `${USER.uid}:${GROUP}`, home.at("lower")]);
    await runScript(["chmod", "2775", home.at("lower", "d")]);
    await home.mount();
    const done = await home.sh(
      "echo new > d/f; echo made > d/g; mv d/f h; rm d/g; echo again > d/g; mkdir e; ln h e/i; chgrp 23456 h; stat -c %g d/g",
    );
    expect(done).toMatchObject({ code: 0, stderr: "", stdout: `${GROUP}\n` });
    expect(readFileSync(home.at("upper", "h"), "utf8")).toBe("new\n");
    expect(readFileSync(home.at("lower", "d", "f"), "utf8")).toBe("old");
  });

  test("applies the policy that the user hands over, and reads none that the user cannot read", async () => {
    const home = await UserHome.make({ lower: { open: file("x"), secret: file("y") } });
    writeFileSync(home.at("policy.yaml"), policyOf("grant", { effect: "deny", path: "secret" }), { mode: 0o644 });
    await home.mount("--policy", home.at("policy.yaml"));
    expect(await home.sh("cat open; cat secret")).toMatchObject({ code: 1, stdout: "x", stderr: text("Permission denied") });
    writeFileSync(home.at("private.yaml"), policyOf("grant"), { mode: 0o600 });
    const other = await UserHome.make({}, home.host);
    const refused = await other.try(...other.layers, "--policy", home.at("private.yaml"), other.mountpoint);
    expect(refused).toMatchObject({ code: 2, stderr: text("the policy file cannot be read (EACCES)") });
  });

  test("takes the path of either socket from an ordinary user, and tells root that one of them is for users", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    const users = join(dirname(home.host.socket), "users.sock");
    const words = ["mount", "--background", "--host-service", users, ...home.layers, home.mountpoint];
    expect(await sluiceAs(USER, ...words)).toMatchObject({ code: 0, stderr: "" });
    expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
    const place = scratch();
    const told = {
      code: 1,
      stderr: text("users.sock: this socket is for ordinary users (EPERM): name the socket that 'sluice serve' prints"),
    };
    expect(await runSluice(["mount", "--host-service", users, "--lower", home.at("lower"), place])).toMatchObject(told);
    const env = { XDG_STATE_HOME: scratch() };
    expect(await runSluice(["run", "--host-service", users, "--", "true"], { cwd: place, env })).toMatchObject(told);
  });

  test("names a policy that is no file of its size by its path", async () => {
    const home = await UserHome.make({});
    const path = home.at("policy.yaml");
    const problems: readonly (readonly [make: readonly string[], said: string])[] = [
      [["mkdir", path], "the policy is a directory (EISDIR): name the file in it"],
      [["mkfifo", path], "the policy is no regular file (EINVAL): name a regular file"],
      [["truncate", "-s", "1048577", path], "the policy is larger than 1 MiB (EFBIG): make it smaller, or mount as root"],
      [["touch", path], "the policy is empty"],
    ];
    for (const [make, said] of problems) {
      await runScript(make);
      await runScript(["chmod", "755", path]);
      const refused = await home.try(...home.layers, "--policy", path, home.mountpoint);
      expect(refused).toMatchObject({ code: 2, stderr: text(said) });
      expect(refused.stderr).toContain("policy.yaml:");
      await runScript(["rm", "-r", path]);
    }
  });

  test("ends a mount with its command, and lets one in the background go on", async () => {
    const home = await UserHome.make({ lower: { word: file("x") } });
    const asked = await home.mount();
    asked.kill("SIGTERM");
    expect(await asked.finished).toMatchObject({ code: 0 });
    expect(home.mounts).toBe(0);
    const killed = await home.mount();
    killed.kill("SIGKILL");
    await eventually("the mount of a killed command ends", 30_000, () => home.mounts === 0);
    // Nobody waits for the end of its server, which has the layers a moment longer.
    await eventually("it can be mounted again", 30_000, async () => (await home.try(...home.layers, home.mountpoint)).code === 0);
    expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
    expect(await sluiceAs(OTHER, "unmount", home.mountpoint)).not.toMatchObject({ code: 0 });
    expect(home.mounts).toBe(1);
    expect(await sluiceAs(USER, "unmount", home.mountpoint)).toMatchObject({ code: 0 });
    expect(home.mounts).toBe(0);
  });

  test("serves on with the same rights after the death of a server", async () => {
    const home = await UserHome.make({ lower: { word: file("x"), shared: file("for the group", { mode: 0o040, gid: GROUP }) } });
    await home.mount();
    const pid = async (): Promise<number> =>
      (JSON.parse((await runSluice(["status", "--json", home.mountpoint])).stdout) as { pid: number }).pid;
    const first = await pid();
    expect(await runScript(["sh", "-c", 'kill -KILL "$0"', `${first}`], { as: USER })).toMatchObject({ code: 0 });
    expect(await home.sh("cat word shared; echo y >made")).toMatchObject({ stdout: "xfor the group", stderr: "" });
    const next = await pid();
    expect(next).not.toBe(first);
    expect(statusOf(next)).toMatch(new RegExp(`^Uid:\\t${USER.uid}\\t${USER.uid}\\t${USER.uid}\\t${USER.uid}$`, "m"));
  });

  test("ends all mounts with itself, and limits those of each user", async () => {
    const host = await startForUsers(1);
    const [one, two] = [await UserHome.make({}, host), await UserHome.make({}, host)];
    const command = await one.mount();
    expect(await two.try(...two.layers, two.mountpoint)).toMatchObject({ code: 1, stderr: text("has 1 mounts already (EMFILE)") });
    await host.stop();
    expect(await command.finished).toMatchObject({ code: 0 });
    expect(one.mounts).toBe(0);
  });

  test("refuses each option that is not on its list", async () => {
    const home = await UserHome.make({});
    const refused: readonly (readonly string[])[] = [
      ["-o", "allow_other"],
      ["-o", "metacopy=on"],
      ["-o", "redirect_dir=on"],
      ["-o", "index=on"],
      ["-o", "foreign_marks=on"],
      ["-o", "volatile"],
      ["-o", "fsname=ext4"],
      ["-o", "squash_to_uid=0"],
      ["-o", "uidmapping=0:12345:1"],
      ["--admin", "127.0.0.1:0"],
      ["--decision", "127.0.0.1:1"],
      ["--label", "a=b"],
      ["--log-file", home.at("log")],
      ["--control", home.at("control")],
      ["--on-revoke", "sigkill"],
      ["--user", "1000:1000", "-o", "userxattr", "--keeper", "on"],
      ["--activity-file", home.at("activity")],
      ["--tracing-endpoint", "http://127.0.0.1:4318"],
    ];
    for (const args of refused) expect([args, await home.try(...home.layers, ...args, home.mountpoint)]).toMatchObject([args, { code: 2 }]);
    expect(home.mounts).toBe(0);
  });

  test("makes no mounts for users unless it is told to", async () => {
    const host = await startForUsers(0);
    const home = await UserHome.make({}, host);
    const refused = await home.try(...home.layers, home.mountpoint);
    expect(refused).toMatchObject({ code: 1, stderr: text("for ordinary users with --user-mounts") });
  });
});
