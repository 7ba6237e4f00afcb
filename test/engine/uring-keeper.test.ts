/**
 * The fate of requests in rings when the server is killed while another process, a keeper, holds /dev/fuse. It is the reason
 * why `--transport auto` uses read(2) then. A kernel on which this test fails has been improved.
 */
import { MNT, native } from "@sluice/native";
import { requires, scratch, switchUring } from "@sluice/testkit";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE over io_uring");

interface Told {
  ready?: true;
  name?: string;
  resent?: boolean;
}

/** A mount that outlives its server: this process holds the descriptor, and never looks at the mount itself. */
class HeldMount {
  readonly #path = scratch();
  readonly #fd = native.fuseOpen();
  readonly #children: ChildProcess[] = [];
  readonly told: Told[] = [];

  constructor() {
    const data = `fd=${this.#fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other`;
    expect(native.mount("held", this.#path, "fuse.held", 0, data)).toBe(0);
  }

  /** See ring-server-process.mjs. Resolves when it is ready. */
  async server(how: "handshake" | "read" | "register"): Promise<ChildProcess> {
    const program = join(import.meta.dirname, "ring-server-process.mjs");
    const child = spawn(process.execPath, [program, how], { stdio: ["ignore", "pipe", "inherit", this.#fd] });
    this.#children.push(child);
    let ready = false;
    createInterface(child.stdout as NodeJS.ReadableStream & import("node:stream").Readable).on("line", (line) => {
      const told = JSON.parse(line) as Told;
      ready ||= told.ready === true;
      this.told.push(told);
    });
    await this.until(() => ready);
    return child;
  }

  /** Looks a name up through another process. */
  ask(name: string): ChildProcess {
    const child = spawn("stat", [join(this.#path, name)], { stdio: "ignore" });
    this.#children.push(child);
    return child;
  }

  names(): string[] {
    return this.told.map(({ name }) => name ?? "").filter((name) => name !== "");
  }

  async until(condition: () => boolean, ms = 20_000): Promise<boolean> {
    for (const end = Date.now() + ms; !condition(); await new Promise((resolve) => setTimeout(resolve, 10)))
      if (Date.now() > end) return false;
    return true;
  }

  /** Aborts the connection: every waiting caller gets an error. */
  async end(): Promise<void> {
    native.umount2(this.#path, MNT.FORCE);
    native.umount2(this.#path, MNT.DETACH);
    native.close(this.#fd);
    for (const child of this.#children) {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
  }
}

async function kill(server: ChildProcess): Promise<void> {
  server.kill("SIGKILL");
  await once(server, "exit");
}

let held: HeldMount | undefined;
afterEach(() => held?.end());

test("requests in a killed server's ring are lost, and no request arrives before another ring exists", async () => {
  const putBack = switchUring(true);
  held = new HeldMount();
  const first = await held.server("handshake");
  putBack();
  const waiting = held.ask("waiting");
  expect(await held.until(() => held?.names().includes("waiting") === true)).toBe(true);
  await kill(first);

  held.told.length = 0;
  const between = held.ask("between");
  const reader = await held.server("read");
  await held.until(() => (held?.told.length ?? 0) > 2, 1000);
  // Its answer to `resend`, and `ready`: no request.
  expect(held.told).toHaveLength(2);
  await kill(reader);

  // A request that waits in a processor's queue arrives with the answer to another request of the same processor.
  await held.server("register");
  for (let i = 0; i < 200 && between.exitCode === null; i++) await once(held.ask(`after-${i}`), "exit");
  expect(between.exitCode).toBe(1);
  const came = ["between", "after-0"];
  await held.until(() => came.every((name) => held?.names().includes(name)));
  expect(held.names()).toEqual(expect.arrayContaining(came));
  expect(held.names()).not.toContain("waiting");
  expect(held.told.some(({ resent }) => resent)).toBe(false);
  expect(waiting.exitCode).toBeNull();
});
