/**
 * The hunters find the bugs that they are made for: each past bypass of a rule, put back into the built code. `npm test` plants some of
 * them, drawn by SLUICE_SEED, and `npm run test:soak bypass` all of them.
 */
import { drawnCases, requires } from "@sluice/testkit";
import { beforeAll, expect, test as plainTest } from "vitest";
import type { Patch } from "../../mutants/mutants.js";
import { misfits, plantBugs, type Planted } from "../../mutants/planted.js";
import { chooseSeed } from "../exercisers/policies.js";
import { type Configuration, type Hunt, huntBy, SPARE_MS } from "./harness/configurations.js";
import { huntNames } from "./harness/hunt-names.js";
import { huntRevocations } from "./harness/hunt-revocations.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command cc");
/** A hunt ends with its first violation. */
const LONGEST_MS = 180_000;
const FEW = 1;
const PATIENCE_MS = 6_000;

const GRANTED: Configuration = { name: "granted", flow: "granted", replicas: 1 };
const MEDIATED: Configuration = { name: "mediated", flow: "mediated", replicas: 1 };
const MIXED: Configuration = { name: "mixed", flow: "mixed", replicas: 1 };

interface PlantedBug {
  /** The symptom, as a user would report it. */
  name: string;
  patches: readonly Patch[];
  hunt(hunt: Hunt): Promise<string[]>;
  configuration: Configuration;
}

const GOVERN = "overlay/dist/gate/govern.js";

const bugs: readonly PlantedBug[] = [
  {
    name: "an operation is carried out on what it was not judged for, since a directory was renamed while it waited",
    patches: [
      {
        file: GOVERN,
        find: "return stands(core, operation, epoch) ? prepare(core, operation, { epoch, attempt }) : again(core, operation, attempt);",
        replace: "return prepare(core, operation, { epoch, attempt });",
      },
    ],
    hunt: huntNames,
    configuration: GRANTED,
  },
  {
    name: "an open that waits for its copy-up is let through by a policy that is not in force any more",
    patches: [
      {
        file: GOVERN,
        find: "return stands(core, operation, epoch) ? commit(core, operation, permit) : again(core, operation, attempt);",
        replace: "return commit(core, operation, permit);",
      },
    ],
    hunt: huntRevocations,
    configuration: GRANTED,
  },
  {
    name: "a refused open gets the pages that an allowed one brings",
    patches: [{ file: "overlay/dist/open/plan-open.js", find: "io.withheld > 0) {", replace: "io.withheld > 1e9) {" }],
    hunt: huntRevocations,
    configuration: MEDIATED,
  },
  {
    name: "an open that can be mapped past the daemon is counted as refused",
    patches: [
      { file: "overlay/dist/io/withhold-open.js", find: 'return file.readable ? "mapping" : undefined;', replace: "return undefined;" },
    ],
    hunt: huntRevocations,
    configuration: MIXED,
  },
  {
    name: "a move takes the denial of other accesses than opening away",
    patches: [
      {
        file: "overlay/dist/gate/move-comparison.js",
        find: "})).filter(({ accesses }) => accesses.length > 0);",
        replace: '})).filter(({ operation, accesses }) => operation === "open" && accesses.length > 0);',
      },
    ],
    hunt: huntNames,
    configuration: GRANTED,
  },
  {
    name: "a move takes obligations away",
    patches: [
      {
        file: "mount/dist/enforcement/compare-rulings.js",
        find: 'return [...ours].some(([name, value]) => name !== "ratePer" && !meets(name, value, theirs.get(name)));',
        replace: "return false;",
      },
    ],
    hunt: huntNames,
    configuration: MEDIATED,
  },
  {
    name: "an open goes through although nobody answered the question for a person",
    patches: [
      {
        file: "mount/dist/enforcement/person-waits.js",
        find: "return await decider.decide(question, both);",
        replace: 'return { ...(await decider.decide(question, both)), effect: "mediate", errno: 0 };',
      },
    ],
    hunt: huntNames,
    configuration: GRANTED,
  },
  {
    name: "the patterns of hidden names are passed over",
    patches: [
      {
        file: "mount/dist/enforcement/hidden-by-policy.js",
        find: "return this.#names === undefined ? !this.showsUnjudged : this.#names.hidesIn(directory, name);",
        replace: "return this.#names === undefined && !this.showsUnjudged;",
      },
    ],
    hunt: huntNames,
    configuration: MIXED,
  },
];

plainTest("every patch fits the built code", () => expect(misfits(bugs)).toEqual([]));

describe("the hunters find:", () => {
  const seed = chooseSeed();
  const drawn = drawnCases(bugs, FEW, seed);
  let planted: (name: string) => Planted;
  beforeAll(async () => {
    planted = await plantBugs(drawn);
  }, SPARE_MS);

  for (const { name, hunt, configuration } of drawn)
    test(
      name,
      async () => {
        const found = await hunt(huntBy(seed, { configuration, leftMs: LONGEST_MS, patienceMs: PATIENCE_MS, planted: planted(name) }));
        expect(found).not.toEqual([]);
        expect(found[0]).toContain("violation");
      },
      LONGEST_MS + SPARE_MS,
    );
});
