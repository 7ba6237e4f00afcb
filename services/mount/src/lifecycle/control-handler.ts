/** Answers the control socket's questions about a running mount. */
import type { ControlHandler } from "../control/control-server.js";
import { grantItem, type MountParts, mountStatus } from "./mount-status.js";
import type { StopRequests } from "./stop-requests.js";

function closed(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export function controlHandler(parts: MountParts, stop: StopRequests): ControlHandler {
  return async (request, send, gone) => {
    switch (request.method) {
      case "status":
        send(mountStatus(parts, stop.requested));
        return;
      case "grants": {
        for (const grant of parts.grants.all()) send(grantItem("open", grant));
        if (!request.watch) return;
        const unlisten = parts.grants.listen((change, grant) => send(grantItem(change, grant)));
        await Promise.race([closed(gone), parts.engine.ended]);
        unlisten();
        return;
      }
      case "unmount":
        stop.request();
        await parts.engine.ended;
        send({ unmounted: parts.config.mountpoint });
        return;
    }
  };
}
