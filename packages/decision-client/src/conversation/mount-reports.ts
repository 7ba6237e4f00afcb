/** Reports the mount's layers and open files to services with a console, every few seconds. Costs a timer if no service has one. */
import { type MountReport, mountReportToProto, type wire } from "@sluice/decision-api";

const EVERY_MS = 2_000;

interface Told {
  readonly wantsReports: boolean;
  tell(report: wire.MountReport): void;
}

export class MountReports {
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly describe: () => MountReport | undefined,
    private readonly replicas: () => Iterable<Told>,
  ) {
    this.#timer = setInterval(() => this.flush(), EVERY_MS).unref();
  }

  flush(): void {
    const curious = [...this.replicas()].filter(({ wantsReports }) => wantsReports);
    if (curious.length === 0) return;
    const report = this.describe();
    if (report === undefined) return;
    const message = mountReportToProto(report);
    for (const replica of curious) replica.tell(message);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
