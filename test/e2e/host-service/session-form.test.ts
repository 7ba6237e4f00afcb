/** The form that a session sends to the host service is the one that `sluice mount` sends for the same options. */
import { viewOptions } from "@sluice/sandbox/view-order";
import { parseMount } from "@sluice/service-mount/options";
import { expect, test } from "vitest";
import { mountArguments } from "../../../packages/cli/src/commands/mount-options.js";
import { sessionSpec } from "../../../services/mount/src/host/users/session-spec.js";
import { specOf } from "../../../services/mount/src/host/users/user-spec.js";

const ORDER = {
  mountpoint: "/state/session/view",
  lowers: ["/state/frozen:1", "/base"],
  ...{ upper: "/state/session/upper", work: "/state/session/work", formerUppers: 1 },
  ...{ policyFile: "/etc/policy.yml", name: "/base", userXattr: true },
};
const FILES = { directory: "/state/session", control: "/state/session/control.sock", answers: "/state/answers", logsDecisions: true };
const OF_FILES = new Set(["record-base", "activity-file", "answers", "log-file", "control", "decision-log"]);

test("a session leaves every option that it does not give as `sluice mount` has it", () => {
  const options = viewOptions({ ...ORDER, files: FILES }).filter(({ name }) => !OF_FILES.has(name));
  const parts = { control: true, answers: true, decisionLog: true };
  const form = specOf(parseMount(ORDER.mountpoint, mountArguments(options)), false);
  expect(sessionSpec(ORDER, parts)).toEqual({ ...form, session: true, ...parts });
});
