/** Prepares a process for its first policy, which somebody waits for. */
import { openPolicyFile } from "@sluice/policy-backends";
import { PRESETS, presetFile } from "../cli/presets.js";

/** Loads a policy that comes with the service, so that V8 has compiled the code for it. A failure hinders nobody. */
export async function rehearse(): Promise<void> {
  const file = presetFile(PRESETS[0]);
  if (file === undefined) return;
  try {
    await (await openPolicyFile(file)).dispose();
  } catch {
    // Such as for a user who cannot reach the file.
  }
}
