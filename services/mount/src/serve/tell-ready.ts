/** Tells everybody who waits that the mount serves requests. */
import { escapeLine } from "@sluice/runtime";
import { transportWord } from "../setup/choose-transport.js";
import type { MountContext } from "./mount-context.js";
import type { MountParts } from "../status/mount-status.js";

/** The decision service and its policy. */
function policyWord({ decider }: MountParts): string {
  const capabilities = decider.capabilities();
  if (capabilities === undefined) return "policy not known yet: the decision service does not answer";
  if (capabilities.unconditionalGrant) return "no policy: everything is granted";
  const { policyId, summary, refusedEdit } = capabilities;
  const refused = refusedEdit === undefined ? "" : `, before an edit that was refused: ${escapeLine(refusedEdit)}`;
  return `policy ${escapeLine(policyId)}${summary === undefined ? "" : `: ${escapeLine(summary)}`}${refused}`;
}

function readyLine(parts: MountParts, context: MountContext): string {
  const { owner } = context;
  const { config, engine, kind } = parts;
  const { protocol, maxStackDepth } = engine.port.negotiated;
  const layers = `${config.lowers.length} lower${config.upper === undefined ? ", read-only" : " + upper"}`;
  const passthrough = `passthrough ${maxStackDepth > 0 ? "on" : "off"}${transportWord(kind, engine)}`;
  const other = kind.name === "devfuse" ? "" : `; engine ${kind.name}`;
  const pid = context.keeper?.session === undefined ? process.pid : context.keeper.link.keeper?.keeperPid;
  const shared = owner.places === 1 && context.keeper?.session === undefined ? "" : `; by the host service, pid ${pid}`;
  return `mounted ${escapeLine(config.mountpoint)} (${layers}; ${policyWord(parts)}; FUSE ${protocol.major}.${protocol.minor}; ${passthrough}${other}${shared})\n`;
}

/** Tells the keeper that this server serves, and the person or program that mounts that the mount is there. */
export function tellReady(context: MountContext, parts: MountParts): void {
  const { config, keeper, logger, owner } = context;
  const { negotiated } = parts.engine.port;
  keeper?.link.storeInit(Buffer.from(JSON.stringify(negotiated)));
  keeper?.link.ready();
  const tookOver = keeper?.joined === true ? `took over ${config.mountpoint}\n` : undefined;
  owner.serves(parts, keeper?.link.restored === true ? tookOver : readyLine(parts, context));
  logger.info(
    { mountpoint: config.mountpoint, lowers: config.lowers, upper: config.upper, negotiated, keeper: keeper?.link.keeper },
    "mounted",
  );
  const { transport } = parts.engine;
  if (transport.name === "read" && config.transport === "auto" && parts.kind.name === "devfuse")
    logger.info({ why: transport.why }, "requests come by read(2), not by io_uring");
}
