import { existsSync } from "node:fs";
import { silentLogger } from "@sluice/runtime";
import { describe, expect, it } from "vitest";
import type { EmbeddedDecisionOptions, StartEmbeddedDecision } from "../mount-host.js";
import { SharedDecisions } from "./shared-decisions.js";

interface Fake {
  options: EmbeddedDecisionOptions;
  touched: boolean;
  closed: boolean;
  fail(error: Error): void;
}

function fakes(): { started: Fake[]; start: StartEmbeddedDecision } {
  const started: Fake[] = [];
  const start: StartEmbeddedDecision = (options) => {
    let fail: (error: Error) => void = () => undefined;
    const failedToStart = new Promise<Error>((resolve) => {
      fail = resolve;
    });
    const fake: Fake = { options, touched: false, closed: false, fail: (error) => fail(error) };
    started.push(fake);
    const policyTouched = (): boolean => {
      const { touched } = fake;
      fake.touched = false;
      return touched;
    };
    const close = (): Promise<void> => {
      fake.closed = true;
      return Promise.resolve();
    };
    return Promise.resolve({ target: `fake:${started.length}`, failedToStart, policyTouched, unprotected: undefined, close });
  };
  return { started, start };
}

function optionsOf(policyFile: string): EmbeddedDecisionOptions {
  return {
    policyFile,
    askTimeoutMs: undefined,
    answersFile: undefined,
    runDirectory: "/of/the/mount",
    logger: silentLogger(),
    logLevel: "info",
    logFile: undefined,
    decisionLog: undefined,
    tracingEndpoint: undefined,
    takesOver: false,
  };
}

describe("shared decision services", () => {
  it("are one for each policy file, until the last mount that uses it ends", async () => {
    const { started, start } = fakes();
    const shared = new SharedDecisions(start, { logger: silentLogger(), owner: "a test" });
    const [one, two, other] = await Promise.all(["/a", "/a", "/b"].map((file) => shared.start(optionsOf(file))));
    expect([one?.target, two?.target, other?.target]).toEqual(["fake:1", "fake:1", "fake:2"]);
    const directory = started[0]?.options.runDirectory ?? "";
    expect(directory).not.toBe("/of/the/mount");
    await one?.close();
    await one?.close();
    expect([started[0]?.closed, existsSync(directory)]).toEqual([false, true]);
    await two?.close();
    expect([started[0]?.closed, existsSync(directory)]).toEqual([true, false]);
    expect((await shared.start(optionsOf("/a"))).target).toBe("fake:3");
    expect(started[1]?.closed).toBe(false);
  });

  it("tell each mount of an edit, once", async () => {
    const { started, start } = fakes();
    const shared = new SharedDecisions(start, { logger: silentLogger(), owner: "a test" });
    const [one, two] = await Promise.all([shared.start(optionsOf("/a")), shared.start(optionsOf("/a"))]);
    expect([one.policyTouched(), two.policyTouched()]).toEqual([false, false]);
    (started[0] as Fake).touched = true;
    expect([one.policyTouched(), two.policyTouched()]).toEqual([true, true]);
    expect([one.policyTouched(), two.policyTouched()]).toEqual([false, false]);
  });

  it("are not shared with later mounts if they failed to start", async () => {
    const { started, start } = fakes();
    const shared = new SharedDecisions(start, { logger: silentLogger(), owner: "a test" });
    const first = await shared.start(optionsOf("/a"));
    started[0]?.fail(new Error("the policy has a mistake"));
    await first.failedToStart;
    expect((await shared.start(optionsOf("/a"))).target).toBe("fake:2");
    const throwing = new SharedDecisions(() => Promise.reject(new Error("no uid is free")), { logger: silentLogger(), owner: "a test" });
    await expect(throwing.start(optionsOf("/a"))).rejects.toThrow("no uid is free");
    await expect(throwing.start(optionsOf("/a"))).rejects.toThrow("no uid is free");
  });
});
