/** A filesystem with a span for each open. It is in the path of requests only if opens are traced. */
import {
  type ByteName,
  type CallContext,
  type CreateArgs,
  type EntryOut,
  Errno,
  type Filesystem,
  FilesystemDecorator,
  type NodeId,
  type OpenOut,
  type Status,
} from "@sluice/vfs";
import type { OpenSpans } from "./open-spans.js";

interface Created {
  entry: EntryOut;
  open: OpenOut;
}

export class TracedFilesystem extends FilesystemDecorator {
  constructor(
    inner: Filesystem,
    private readonly spans: OpenSpans,
  ) {
    super(inner);
  }

  override open(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status {
    return this.traced("fuse.open", call, out, () => super.open(call, node, flags, out));
  }

  override create(call: CallContext, at: { parent: NodeId; name: ByteName }, args: CreateArgs, out: Created): Status {
    return this.traced("fuse.create", call, out.open, () => super.create(call, at, args, out));
  }

  override tmpfile(call: CallContext, parent: NodeId, args: CreateArgs, out: Created): Status {
    return this.traced("fuse.tmpfile", call, out.open, () => super.tmpfile(call, parent, args, out));
  }

  private traced(name: string, call: CallContext, out: OpenOut, act: () => Status): Status {
    this.spans.begin(call, name);
    const status = act();
    if (!(status instanceof Promise)) {
      this.spans.end(call, status, out.mode);
      return status;
    }
    return status.then(
      (late) => {
        this.spans.end(call, late, out.mode);
        return late;
      },
      (error: unknown) => {
        this.spans.end(call, Errno.EIO, out.mode);
        throw error;
      },
    );
  }
}
