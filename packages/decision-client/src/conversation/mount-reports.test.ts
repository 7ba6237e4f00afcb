import type { MountDescription, wire } from "@sluice/decision-api";
import { expect, test } from "vitest";
import type { Told } from "./conversation.js";
import { MountReports } from "./mount-reports.js";

const description: MountDescription = {
  ...{ mountpoint: "/m", engine: "devfuse", protocol: "7.45", transport: "read", passthrough: true },
  ...{ layers: [], layerCount: 0, grants: [], grantCount: 0, openFiles: {} },
  ...{ uptimeMs: 1, operations: [], opens: {}, readBytes: 0, writtenBytes: 0, server: undefined },
};

class Hearer {
  looked = false;
  readonly heard: wire.MountReport[] = [];
  constructor(
    readonly address: string,
    readonly wantsReports = true,
  ) {}
  takeLook(): boolean {
    const { looked } = this;
    this.looked = false;
    return looked;
  }
  tell(told: Told): boolean {
    if (told.$case === "report") this.heard.push(told.value);
    return true;
  }
}

test("each service with a console hears of all replicas, and which of them it is", () => {
  const [one, other, without] = [new Hearer("one:1"), new Hearer("other:1"), new Hearer("without:1", false)];
  const hearers = [one, other, without];
  const known = hearers.map(({ address }) => ({ address, state: "ready", revision: undefined }));
  const reports = new MountReports(
    () => description,
    () => hearers,
    () => known,
  );
  reports.flush();
  reports.close();
  for (const { heard, address } of [one, other]) expect(heard).toMatchObject([{ replicas: known, replicaCount: 3, toldTo: address }]);
  expect(without.heard).toEqual([]);
});

test("the mount hears once of a look at any console", () => {
  const [one, other] = [new Hearer("one:1"), new Hearer("other:1")];
  const looks: boolean[] = [];
  const describe = (lookedAt: boolean): MountDescription => {
    looks.push(lookedAt);
    return description;
  };
  const reports = new MountReports(
    describe,
    () => [one, other],
    () => [],
  );
  reports.flush();
  other.looked = true;
  reports.flush();
  one.looked = other.looked = true;
  reports.flush();
  reports.flush();
  reports.close();
  expect(looks).toEqual([false, true, true, false]);
});
