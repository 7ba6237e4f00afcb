/** Has the kernel drop cached names and listings when the policy hides other names than before. */
import type { Overlay } from "@sluice/overlay";
import type { PolicyGate } from "../enforcement/policy-gate.js";
import type { MountContext } from "../serve/mount-context.js";

export function watchHiddenNames({ logger }: Pick<MountContext, "logger">, gate: PolicyGate, overlay: Overlay): void {
  let running = false;
  let again = false;
  const drop = async (): Promise<void> => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await overlay.dropHiddenNames();
      }
    } catch (error) {
      logger.error({ error }, "cached names could not be dropped: some may be shown that the policy hides");
    } finally {
      running = false;
    }
  };
  gate.hidden.changed = () => void drop();
  // An earlier server may have hidden other names.
  if (!gate.hidden.unknown) void drop();
}
