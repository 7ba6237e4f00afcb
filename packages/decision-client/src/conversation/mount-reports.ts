/** Reports the mount's layers and open files to services with a console, every few seconds. Costs a timer if no service has one. */
import { type MountReport, mountReportToProto } from "@sluice/decision-api";
import type { Told } from "./conversation.js";

const EVERY_MS = 2_000;

interface Hearer {
  readonly wantsReports: boolean;
  tell(told: Told): boolean;
}

export class MountReports {
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly describe: () => MountReport | undefined,
    private readonly replicas: () => Iterable<Hearer>,
  ) {
    this.#timer = setInterval(() => this.flush(), EVERY_MS).unref();
  }

  flush(): void {
    const curious = [...this.replicas()].filter(({ wantsReports }) => wantsReports);
    if (curious.length === 0) return;
    const report = this.describe();
    if (report === undefined) return;
    const told: Told = { $case: "report", value: mountReportToProto(report) };
    // A report covers the one before, so one that is not taken is not missed.
    for (const replica of curious) replica.tell(told);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
