/** The rule for polling of idle processors. The gaps between its requests stand for a client; polling shortens them if it helps. */
import { describe, expect, it } from "vitest";
import { IdlePollingRule } from "./idle-polling-rule.js";

const TICK_US = 4000;
const SERVICE_US = 15;

/** Gaps while processors halt and while they poll, microseconds. */
interface Client {
  readonly halting: number;
  readonly polling: number;
}

class Machine {
  readonly rule: IdlePollingRule;
  nowUs = 1_000_000;
  pollingUs = 0;
  changes = 0;
  #tickUs = 0;
  #answeredUs = 0;

  constructor(always = false) {
    this.rule = new IdlePollingRule(always);
  }

  pass(us: number): void {
    for (let left = us; left > 0; ) {
      const step = Math.min(left, 100);
      left -= step;
      this.nowUs += step;
      if (this.rule.phase === "off") continue;
      this.pollingUs += step;
      this.#tickUs += step;
      if (this.#tickUs >= TICK_US) this.#tick();
    }
  }

  /** For that long, or for that many requests. */
  serve({ halting, polling }: Client, until: { us?: number; requests?: number }): number {
    const endUs = this.nowUs + (until.us ?? Number.POSITIVE_INFINITY);
    let served = 0;
    for (; this.nowUs < endUs && served < (until.requests ?? Number.POSITIVE_INFINITY); served++) {
      this.pass(this.rule.phase === "off" ? halting : polling);
      if (this.rule.gap(this.nowUs - this.#answeredUs, { us: this.nowUs })) this.#changed();
      this.pass(SERVICE_US);
      this.#answeredUs = this.nowUs;
    }
    return served;
  }

  #tick(): void {
    this.#tickUs = 0;
    if (this.rule.tick(this.nowUs)) this.#changed();
  }

  #changed(): void {
    this.changes++;
    this.#tickUs = 0;
  }
}

describe("idle polling", () => {
  it("is held if it shortens the gaps, and ends with the requests", () => {
    const machine = new Machine();
    machine.serve({ halting: 60, polling: 12 }, { us: 500_000 });
    expect(machine.rule.phase).toBe("held");
    expect(machine.rule.gainUs).toBe(48);
    expect(machine.pollingUs).toBeGreaterThan(490_000);
    const before = machine.pollingUs;
    machine.pass(1_000_000);
    expect(machine.rule.phase).toBe("off");
    expect(machine.pollingUs - before).toBeLessThanOrEqual(2 * TICK_US);
  });

  it("is hardly ever tried if it shortens nothing", () => {
    const machine = new Machine();
    machine.serve({ halting: 40, polling: 38 }, { us: 20_000_000 });
    expect(machine.rule.gainUs).toBe(0);
    // One in two hundred parts of the time.
    expect(machine.pollingUs).toBeLessThan(100_000);
  });

  it("is not tried if gaps are short, or if the requests were there already", () => {
    for (const halting of [1, 9]) {
      const machine = new Machine();
      machine.serve({ halting, polling: 1 }, { us: 5_000_000 });
      expect(machine.pollingUs).toBe(0);
    }
  });

  it("is not held for a client that computes most of the time", () => {
    const machine = new Machine();
    machine.serve({ halting: 900, polling: 850 }, { us: 10_000_000 });
    // Each trial takes 30 ms here, at most every half second.
    expect(machine.pollingUs).toBeLessThan(700_000);
    // One in ten milliseconds: it would save less than a twentieth of the time.
    const rare = new Machine();
    rare.serve({ halting: 60, polling: 12 }, { requests: 100 });
    const before = rare.pollingUs;
    for (let i = 0; i < 1000; i++) {
      rare.serve({ halting: 60, polling: 12 }, { requests: 1 });
      rare.pass(10_000);
    }
    expect(rare.pollingUs - before).toBeLessThan(10 * TICK_US);
  });

  it("begins with the next burst at once if it helped a moment ago", () => {
    const machine = new Machine();
    machine.serve({ halting: 60, polling: 12 }, { us: 100_000 });
    machine.pass(100_000);
    expect(machine.rule.phase).toBe("off");
    // The first of them follows no other request.
    machine.serve({ halting: 60, polling: 12 }, { requests: 9 });
    expect(machine.rule.phase).toBe("held");
  });

  it("is measured repeatedly, and ends when it no longer helps", () => {
    const machine = new Machine();
    machine.serve({ halting: 60, polling: 12 }, { us: 500_000 });
    machine.serve({ halting: 12, polling: 12 }, { us: 4_000_000 });
    expect(machine.rule.phase).toBe("off");
    const before = machine.pollingUs;
    machine.serve({ halting: 12, polling: 12 }, { us: 4_000_000 });
    expect(machine.pollingUs - before).toBeLessThan(10 * TICK_US);
  });

  it("is not switched off by a few long pauses", () => {
    const machine = new Machine();
    for (let i = 0; i < 200; i++) {
      machine.serve({ halting: 60, polling: 12 }, { requests: 6 });
      machine.pass(1500);
    }
    expect(machine.rule.gainUs).toBe(48);
  });

  it("is held in every burst if an option asks for it", () => {
    const machine = new Machine(true);
    machine.serve({ halting: 20, polling: 20 }, { us: 3_000_000 });
    expect(machine.rule.phase).toBe("held");
    machine.pass(3 * TICK_US);
    expect(machine.rule.phase).toBe("off");
  });
});
