import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CliError, type CommandLike, EXIT, parseHostPort, runCli, startAdminServer } from "./index.js";
import { failed } from "./cli-error.js";
import { createRegistry, decisionMetrics } from "./metrics.js";
import { uidOutside } from "./user-namespace.js";

function command(run: () => Promise<unknown>): CommandLike {
  const nothing = (): undefined => undefined;
  return { commands: [], name: () => "sluice", exitOverride: nothing, configureOutput: nothing, hook: nothing, parseAsync: run };
}

describe("runCli", () => {
  afterEach(() => {
    vi.restoreAllMocks();
    process.removeAllListeners("SIGUSR1");
  });

  async function said(run: CommandLike | (() => Promise<unknown>)): Promise<[number, string]> {
    let text = "";
    vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    });
    return [await runCli(typeof run === "function" ? command(run) : run), text];
  }

  it("reports an error in one line, whatever the name contains, and exits with its code", async () => {
    const complaint = { object: "/a\nb", problem: "layer is missing", errno: "ENOENT", remedy: "create it", exitCode: EXIT.UNFIT };
    expect(await said(() => Promise.reject(new CliError(complaint)))).toEqual([
      4,
      "sluice: /a\\nb: layer is missing (ENOENT): create it\n",
    ]);
  });

  it("turns an unknown option into exit code 2 and help into 0", async () => {
    const error = (code: string, exitCode: number) => Object.assign(new Error("error: unknown option '--x'"), { code, exitCode });
    expect(await said(() => Promise.reject(error("commander.unknownOption", 1)))).toEqual([
      2,
      "sluice: command line: unknown option '--x': see 'sluice --help'\n",
    ]);
    expect((await said(() => Promise.reject(error("commander.helpDisplayed", 0))))[0]).toBe(0);
  });

  it("names the help of the command that found the mistake, and makes one sentence of the message", async () => {
    let found: ((error: Error) => never | void) | undefined;
    const child: CommandLike = { ...command(() => Promise.resolve()), name: () => "run", exitOverride: (callback) => (found = callback) };
    const invalid = "error: option '--net <which>' argument 'x' is invalid. Allowed choices are host, none.";
    const error = Object.assign(new Error(invalid), { code: "commander.invalidArgument", exitCode: 1 });
    const program: CommandLike = { ...command(async () => found?.(error)), commands: [child] };
    expect(await said(program)).toEqual([
      2,
      "sluice: command line: option '--net <which>' argument 'x' is invalid; allowed choices are host, none: see 'sluice run --help'\n",
    ]);
  });

  it("takes help as the option of the command that it names, at any depth", async () => {
    const named = (name: string, commands: CommandLike[] = []): CommandLike => ({
      ...command(() => Promise.resolve()),
      name: () => name,
      commands,
    });
    const parsed = vi.fn(() => Promise.resolve());
    const program: CommandLike = { ...named("sluice", [named("policy", [named("check")]), named("run")]), parseAsync: parsed };
    for (const [words, taken] of [
      [
        ["help", "policy", "check"],
        ["policy", "check", "--help"],
      ],
      [
        ["policy", "help", "check"],
        ["policy", "check", "--help"],
      ],
      [
        ["policy", "help"],
        ["policy", "--help"],
      ],
      [
        ["help", "run", "more"],
        ["run", "--help"],
      ],
      [["help"], ["--help"]],
      [
        ["run", "help"],
        ["run", "help"],
      ],
    ] as const) {
      await runCli(program, ["node", "sluice", ...words]);
      expect(parsed).toHaveBeenLastCalledWith(["node", "sluice", ...taken]);
    }
  });

  it("calls no full or damaged disk, limit or missing directory a defect", async () => {
    const error = (properties: object) => Object.assign(new Error("failed"), properties);
    for (const [thrown, line] of [
      [error({ code: "ENOENT", syscall: "uv_cwd" }), "current directory: it cannot be found (ENOENT): change to another one"],
      [error({ code: "ENOSPC", syscall: "open", path: "/a" }), "/a: open failed (ENOSPC): make room on its disk"],
      [
        error({ code: "Unknown system error -117", errno: -117, syscall: "lstat", path: "/a" }),
        "/a: lstat failed (EUCLEAN): look at the log of the kernel (dmesg), and check its file system (fsck)",
      ],
      [
        error({ code: "Unknown system error -74", errno: -74, syscall: "read" }),
        "system: read failed (EBADMSG): look at the log of the kernel (dmesg), and check its file system (fsck)",
      ],
      [error({ code: "ENAMETOOLONG", syscall: "lstat", path: "/a" }), "/a: lstat failed (ENAMETOOLONG): use a shorter path"],
      [error({ code: "EFBIG", syscall: "write" }), "system: write failed (EFBIG): allow larger files (ulimit -f)"],
      [
        error({ code: "EACCES", syscall: "open", path: "/a/b" }),
        "/a/b: open failed (EACCES): check the permissions, and those of the directories above",
      ],
      [
        failed("/a", "it cannot be opened (EMFILE)", "check its mode"),
        "/a: it cannot be opened (EMFILE): allow more open files (ulimit -n)",
      ],
      [failed("/a", "it cannot be opened (EACCES)", "check its mode"), "/a: it cannot be opened (EACCES): check its mode"],
    ] as const)
      expect(await said(() => Promise.reject(thrown))).toEqual([1, `sluice: ${line}\n`]);
    expect((await said(() => Promise.reject(error({ code: "ENOENT", syscall: "open", path: "/a" }))))[1]).toContain("this is a defect");
  });

  it("exits with 1 on a defect", async () => {
    expect((await said(() => Promise.reject(new TypeError("x is undefined"))))[0]).toBe(1);
  });
});

describe("uidOutside", () => {
  const map = "         0       1000          1\n         1     100000      65536\n";

  it("finds the user behind an id of a user namespace", () => {
    expect([0, 1, 65_536].map((uid) => uidOutside(uid, map))).toEqual([1000, 100_000, 165_535]);
  });

  it("takes an id without a user, and one of the initial namespace, as it is", () => {
    expect(uidOutside(70_000, map)).toBe(70_000);
    expect(uidOutside(1000, "0 0 4294967295")).toBe(1000);
  });
});

describe("the admin server", () => {
  it("serves metrics, health and readiness, and refuses the rest", async () => {
    const registry = createRegistry(false);
    decisionMetrics(registry).reloadFailures.inc();
    let notReady: string | undefined = "draining";
    const admin = await startAdminServer({ address: "127.0.0.1:0", registry, notReady: () => notReady });
    const get = (path: string, method = "GET") => fetch(`http://${admin.address}${path}`, { method });
    try {
      const text = await (await get("/metrics")).text();
      expect(text).toContain("sluice_policy_reload_failures_total 1");
      expect((await get("/healthz")).status).toBe(200);
      expect((await get("/readyz")).status).toBe(503);
      notReady = undefined;
      expect((await get("/readyz")).status).toBe(200);
      expect((await get("/other")).status).toBe(404);
      expect((await get("/metrics", "POST")).status).toBe(405);
    } finally {
      await admin.close();
    }
  });

  it("holds a bounded number of connections, and ends those that never ask", async () => {
    const admin = await startAdminServer({ address: "127.0.0.1:0", registry: createRegistry(false), notReady: () => undefined });
    const { host, port } = parseHostPort(admin.address, "--admin");
    const [refused, late] = [new Set<Socket>(), new Set<Socket>()];
    const sockets = Array.from({ length: 300 }, () => {
      const socket = connect(port, host, () => socket.write("GET /healthz HT"));
      socket.on("error", () => undefined).on("close", () => void (late.has(socket) || refused.add(socket)));
      // 408, Request Timeout.
      return socket.on("data", () => late.add(socket));
    });
    try {
      await expect.poll(() => refused.size + late.size, { timeout: 50_000 }).toBe(sockets.length);
      expect(refused.size).toBe(300 - 256);
      expect((await fetch(`http://${admin.address}/healthz`)).status).toBe(200);
    } finally {
      for (const socket of sockets) socket.destroy();
      await admin.close();
    }
  }, 60_000);

  it("parses an address", () => {
    expect(parseHostPort(":90", "--admin")).toEqual({ host: "127.0.0.1", port: 90 });
    expect(parseHostPort("[::1]:90", "--admin")).toEqual({ host: "::1", port: 90 });
    expect(() => parseHostPort("90", "--admin")).toThrow("--admin: '90' is not an address");
    expect(() => parseHostPort("a:99999", "--admin")).toThrow(CliError);
  });
});
