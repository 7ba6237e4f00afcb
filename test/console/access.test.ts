/** Access to the web console, and its calls: plain requests to a real decision service. */
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DecisionService } from "@sluice/service-decision";
import { freePort, runSluice, scratch, type ScriptResult } from "@sluice/testkit";
import { describe, expect, test } from "vitest";
import { ask, POLICY, serve } from "./harness/served.js";

interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}
function call(service: DecisionService, path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  const [host, port] = (service.adminAddress as string).split(":");
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, method, headers }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.on("error", reject);
    sent.end(method === "POST" ? "{}" : undefined);
  });
}

describe("access to the console", () => {
  test("on loopback: by loopback's own names, and from no other page", async () => {
    const { service } = await serve();
    const port = service.adminAddress?.split(":")[1];
    const page = await call(service, "/console/");
    expect(page.status).toBe(200);
    expect(page.headers["content-security-policy"]).toMatch(/default-src 'none'; script-src 'self'/);
    expect(page.headers["content-security-policy"]).not.toContain("unsafe");
    expect((await call(service, "/console/api/state")).status).toBe(200);
    expect((await call(service, "/console/api/state", { host: `localhost:${port}` })).status).toBe(200);
    for (const headers of [
      { host: `evil.example:${port}` },
      { host: `127.0.0.1.evil.example:${port}` },
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
    ] as Record<string, string>[]) {
      expect((await call(service, "/console/api/state", headers)).status, JSON.stringify(headers)).toBe(403);
      expect((await call(service, "/console/api/ask", headers, "POST")).status, JSON.stringify(headers)).toBe(403);
    }
    for (const path of ["/console/../package.json", "/console/%2e%2e/package.json", "/console/constructor", "/console/api/constructor"])
      expect((await call(service, path)).status, path).toBe(404);
    expect((await call(service, "/console/api/ask", {}, "POST")).status).toBe(400);
    expect((await call(service, "/metrics")).status).toBe(200);
  });

  test("beyond loopback: refused without a token, and with one only for callers that send it", async () => {
    const open = await serve({ admin: "0.0.0.0:0" });
    expect((await call(open.service, "/console/")).status).toBe(404);
    expect((await call(open.service, "/console/api/state")).status).toBe(404);
    const closed = await serve({ admin: "0.0.0.0:0", adminToken: "correct horse" });
    const state = (headers: Record<string, string>): Promise<Answer> => call(closed.service, "/console/api/state", headers);
    expect((await state({})).status).toBe(401);
    expect((await state({ authorization: "Bearer correct" })).status).toBe(401);
    expect((await state({ authorization: "Bearer correct horse" })).status).toBe(200);
    expect((await state({ authorization: "Bearer correct horse", origin: "https://evil.example" })).status).toBe(403);
    expect((await call(closed.service, "/metrics")).status).toBe(200);
  });

  test("sluice log of a service needs the token of its console", async () => {
    const { service, decider } = await serve({ adminToken: "correct horse" });
    await ask(decider, "home/key.pem");
    const file = join(scratch(), "token");
    const log = (...args: string[]): Promise<ScriptResult> => runSluice(["log", `http://${service.adminAddress}`, ...args]);
    expect(await log()).toMatchObject({ code: 4, stdout: "", stderr: expect.stringMatching(/the console wants a token \(EACCES\): name/) });
    writeFileSync(file, "wrong\n");
    expect(await log("--token-file", file)).toMatchObject({ code: 4, stdout: "" });
    writeFileSync(file, "correct horse\n");
    const { code, stdout } = await log("--token-file", file);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ path: "home/key.pem", effect: "deny", rule: "private-keys", errno: "EACCES" });
    expect(await runSluice(["log", `http://127.0.0.1:${await freePort()}`])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("(ECONNREFUSED)"),
    });
  });

  test.each([
    ["correct horse\n", ["--admin-token-file"], "--admin-token-file: it is of the console, and none is served"],
    ["größe\n", ["--admin", "127.0.0.1:0", "--admin-token-file"], "no HTTP header can carry its content"],
    ["two\nlines\n", ["--admin", "127.0.0.1:0", "--admin-token-file"], "no HTTP header can carry its content"],
    [" \n", ["--admin", "127.0.0.1:0", "--admin-token-file"], "file is empty"],
  ])("a token that nobody could use is refused: %j by %j", async (token, options, problem) => {
    const directory = scratch();
    const [policy, file] = [join(directory, "policy.yaml"), join(directory, "token")];
    writeFileSync(policy, POLICY);
    writeFileSync(file, token);
    const args = ["decision", "--policy", policy, "--listen", `unix://${join(directory, "d.sock")}`, ...options, file];
    expect(await runSluice(args, { timeoutMs: 20_000 })).toMatchObject({ code: 2, stderr: expect.stringContaining(problem) });
  });

  test("answers to questions need a token, although the list does not", async () => {
    const { service, decider } = await serve();
    const pending = (await ask(decider, "asked/key", 1000, { mayAsk: true })) as { pending: { askId: string } };
    const { askId } = pending.pending;
    const send = (to: DecisionService, body: object | string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`http://${to.adminAddress}/console/api/answer`, {
        method: "POST",
        headers,
        body: typeof body === "string" ? body : JSON.stringify(body),
      });
    expect(JSON.parse((await call(service, "/console/api/state")).body)).toMatchObject({
      mayAnswer: false,
      questions: [{ askId, answer: null }],
    });
    const refused = await send(service, { askId, answer: "session" });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toEqual({ error: expect.stringContaining("--admin-token-file") });
    expect(await ask(decider, "asked/key", 1000, { mayAsk: true })).toMatchObject({ effect: "ask" });

    const closed = await serve({ adminToken: "correct horse" });
    const asked = (await ask(closed.decider, "asked/key", 1000, { mayAsk: true })) as { pending: { askId: string } };
    const token = { authorization: "Bearer correct horse" };
    const yes = { askId: asked.pending.askId, answer: "once" };
    expect((await send(closed.service, yes)).status).toBe(401);
    expect((await send(closed.service, yes, { authorization: "Bearer wrong" })).status).toBe(401);
    expect((await send(closed.service, yes, { ...token, origin: "https://evil.example" })).status).toBe(403);
    for (const body of ["", "[]", { ...yes, answer: "maybe" }, { ...yes, by: "root" }])
      expect((await send(closed.service, body, token)).status).toBe(400);
    expect((await send(closed.service, "x".repeat(2_000), token)).status).toBe(413);
    expect((await send(closed.service, { ...yes, askId: "other" }, token)).status).toBe(409);
    expect((await send(closed.service, yes, token)).status).toBe(200);
    expect(await ask(closed.decider, "asked/key", 1000, { mayAsk: true })).toMatchObject({ effect: "mediate", byPerson: true });
    // The log is written a moment after the answer.
    const lines = (): string[] => readFileSync(closed.logFile, "utf8").split("\n");
    await expect.poll(() => lines().length).toBe(3);
    expect(JSON.parse(lines().at(-2) as string)).toMatchObject({ answered: { by: "a holder of the console's token", scope: "once" } });
  });

  test("limits the number of watching clients, and a client that leaves makes room", async () => {
    const { service } = await serve();
    const watch = (): { status: Promise<number>; leave(): void } => {
      const [host, port] = (service.adminAddress as string).split(":");
      const sent = request({ host, port, path: "/console/api/decisions" });
      const status = new Promise<number>((resolve, reject) => {
        sent.once("response", (response) => resolve(response.resume().statusCode ?? 0)).on("error", reject);
      });
      sent.end();
      return { status, leave: () => void sent.destroy() };
    };
    const all = Array.from({ length: 70 }, watch);
    const statuses = await Promise.all(all.map(({ status }) => status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(64);
    expect(statuses.filter((status) => status === 503)).toHaveLength(6);
    expect((await call(service, "/metrics")).status).toBe(200);
    for (const { leave } of all) leave();
    await expect
      .poll(async () => {
        const next = watch();
        const status = await next.status;
        next.leave();
        return status;
      })
      .toBe(200);
  });

  test("a replay of a long log delays no decision", async () => {
    const { service, decider } = await serve();
    const log = `${"x".repeat(20)}\n`.repeat(150_000);
    let done = false;
    const replayed = fetch(`http://${service.adminAddress}/console/api/replay`, {
      method: "POST",
      body: JSON.stringify({ log, candidate: POLICY }),
    }).finally(() => {
      done = true;
    });
    let meanwhile = 0;
    for (; !done; meanwhile++) {
      await ask(decider, "public/a");
      // Once enough have been made, a few show that they continue.
      if (meanwhile > 100) await sleep(25);
    }
    expect((await replayed).status).toBe(200);
    // Each takes a round trip: the answers came between lines, not before and after.
    expect(meanwhile).toBeGreaterThan(100);
  });

  test("a question about a path is about the file that it leads to, and none leads out of the mount", async () => {
    const { service } = await serve();
    const send = async (path: string): Promise<{ status: number; said: unknown }> => {
      const body = JSON.stringify({ path, access: ["read"], uid: 1, gid: 1, candidate: POLICY });
      const response = await fetch(`http://${service.adminAddress}/console/api/ask`, { method: "POST", body });
      return { status: response.status, said: await response.json() };
    };
    const metered = { effect: "mediate", rule: "metered" };
    for (const path of ["datasets/a", "/datasets/a", "./datasets/a", "datasets//a", "x/../datasets/a/", "/datasets/./a"])
      expect(await send(path), path).toMatchObject({ status: 200, said: { inForce: metered, candidate: metered } });
    for (const path of ["..", "../datasets/a", "/a/../../b"])
      expect(await send(path), path).toEqual({
        status: 400,
        said: { error: expect.stringContaining(`${path}: it leads out of the mount`) },
      });
  });

  test("a candidate is only rules: it reaches no file and no server", async () => {
    const { service } = await serve();
    const send = async (body: object): Promise<{ error: string }> => {
      const response = await fetch(`http://${service.adminAddress}/console/api/replay`, { method: "POST", body: JSON.stringify(body) });
      expect(response.status).toBe(400);
      return (await response.json()) as { error: string };
    };
    expect((await send({ log: "", candidate: "kind: opa\nurl: http://127.0.0.1:1\npath: a/b\n" })).error).toContain("candidate");
    expect((await send({ log: "", candidate: "version: 1\ndefault: maybe\n" })).error).toContain("candidate:2:10");
  });
});
