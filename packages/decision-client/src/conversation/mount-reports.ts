/**
 * Reports the mount's layers, open files and work to services with a console, every few seconds. Costs a timer if no service has one. The
 * replicas of the service are added here: the mount itself does not know them.
 */
import { type MountDescription, mountReportToProto, type ReplicaStatus } from "@sluice/decision-api";
import type { Told } from "./conversation.js";

const EVERY_MS = 2_000;

/** `lookedAt`: somebody has looked at a console since the call before. Undefined: there is nothing to report. */
export type DescribeMount = (lookedAt: boolean) => MountDescription | undefined;

interface Hearer {
  readonly address: string;
  readonly wantsReports: boolean;
  takeLook(): boolean;
  tell(told: Told): boolean;
}

export class MountReports {
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly describe: DescribeMount,
    private readonly replicas: () => Iterable<Hearer>,
    private readonly describeReplicas: () => readonly ReplicaStatus[],
  ) {
    this.#timer = setInterval(() => this.flush(), EVERY_MS).unref();
  }

  flush(): void {
    const curious = [...this.replicas()].filter(({ wantsReports }) => wantsReports);
    if (curious.length === 0) return;
    // Each of them, so that no look is left for later.
    const looks = curious.map((replica) => replica.takeLook());
    const description = this.describe(looks.includes(true));
    if (description === undefined) return;
    const replicas = this.describeReplicas();
    const value = mountReportToProto({ ...description, replicas, replicaCount: replicas.length, toldTo: "" });
    // A report covers the one before, so one that is not taken is not missed.
    for (const replica of curious) replica.tell({ $case: "report", value: { ...value, toldTo: replica.address } });
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
