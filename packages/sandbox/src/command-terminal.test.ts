import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { native, TERMIOS_BYTES } from "@sluice/native";
import { requires } from "@sluice/testkit";
import { expect } from "vitest";
import { CommandTerminal } from "./command-terminal.js";

const { test } = requires("pseudo-terminals");

/** More than one read of a terminal returns, and less than the kernel keeps. */
const LINES = 1_900;
const OUTPUT = Array.from({ length: LINES }, (_, line) => `${line + 1}\r\n`).join("");

function plainMode(): Uint8Array {
  const mode = new Uint8Array(TERMIOS_BYTES);
  const ends = new Int32Array(2);
  expect(native.openPty(ends)).toBeGreaterThanOrEqual(0);
  native.terminalMode(ends[1] as number, mode);
  for (const fd of ends) native.close(fd);
  return mode;
}

async function endedOutput(held: "never" | "for ever" | "now and then"): Promise<string> {
  const terminal = new CommandTerminal(plainMode());
  const nowhere = openSync("/dev/null", "r");
  const command = spawn("seq", [`${LINES}`], { stdio: [nowhere, terminal.far, nowhere] });
  closeSync(nowhere);
  let shown = "";
  terminal.attach((output) => {
    shown += output.toString("latin1");
    if (held !== "never") terminal.hold("screen", true);
    if (held === "now and then") setTimeout(() => terminal.hold("screen", false), 1);
  });
  const ended = once(command, "exit");
  // Nobody reads meanwhile: the command has written all, and has ended.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  await ended;
  if (held === "now and then") await sleep(100);
  const rest = terminal.end().toString("latin1");
  return shown + rest;
}

for (const held of ["never", "for ever", "now and then"] as const) {
  test(`shows all output of a command once if it was held ${held}`, async () => {
    expect(await endedOutput(held)).toBe(OUTPUT);
  });
}
