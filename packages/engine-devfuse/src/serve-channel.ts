/** Serves a filesystem on a channel: the engine without a mount, so that it also runs on a test's own bytes. */
import type { EngineEvents, Filesystem, FsError, Negotiated, RequestJournal } from "@sluice/vfs";
import type { Agreement } from "./connection/agreement.js";
import { DataPool, RequestPool } from "./requests/buffer-pools.js";
import type { Channel } from "./device/channel.js";
import { ConnectionRequests } from "./connection/connection-requests.js";
import { Forgets } from "./connection/forgets.js";
import type { HandlerContext } from "./handlers/handler.js";
import type { IdlePolling } from "./polling/idle-polling.js";
import type { RequestedFeatures } from "./connection/init.js";
import type { InFlight } from "./requests/interrupts.js";
import { ReadLoop } from "./device/read-loop.js";
import type { Replies } from "./requests/replies.js";
import { Session } from "./session.js";

/** A read's reply is never larger: the kernel requests no more than max_pages. */
const MAX_DATA_BYTES = 1024 * 1024;

export interface ServeParts {
  readonly channel: Channel;
  readonly filesystem: Filesystem;
  readonly agreement: Agreement;
  readonly inFlight: InFlight;
  readonly replies: Replies;
  readonly requested: RequestedFeatures;
  readonly events: EngineEvents;
  readonly journal?: RequestJournal | undefined;
  readonly idlePolling?: IdlePolling | undefined;
  onReady(negotiated: Negotiated): void;
  onRefused(error: FsError): void;
  /** The connection is over; an errno other than 0 if it did not end in the usual way. */
  onEnd(unusualErrno: number): void;
}

export interface Served {
  /** Must be woken whenever the channel has requests. */
  readonly loop: ReadLoop;
  readonly session: Session;
  readonly forgets: Forgets;
}

export function serveChannel(parts: ServeParts): Served {
  const { filesystem, replies, inFlight, events, channel } = parts;
  const context: HandlerContext = { filesystem, data: new DataPool(MAX_DATA_BYTES), setxattrExtended: takesLongSetxattr(parts.agreement) };
  const requests = new RequestPool(Math.max(parts.requested.maxWriteBytes, MAX_DATA_BYTES));
  const forgets = new Forgets(filesystem);
  const connection = new ConnectionRequests({ ...parts, context, forgets });
  const session = new Session({
    context,
    replies,
    inFlight,
    connection,
    requests,
    events,
    journal: parts.journal,
    idlePolling: parts.idlePolling,
  });
  const loop = new ReadLoop({ channel, session, requests, inFlight, onEnd: parts.onEnd });
  session.onLateAnswer = () => loop.linger();
  return { loop, session, forgets };
}

/** For a connection that was negotiated before. */
function takesLongSetxattr(agreement: Agreement): boolean {
  return agreement.reached && agreement.negotiated.flags.includes("SETXATTR_EXT");
}
