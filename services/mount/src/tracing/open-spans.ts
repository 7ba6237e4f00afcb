/** The spans of opens in progress, by call. */
import type { Span, Tracing } from "@sluice/runtime";
import { type CallContext, errnoName } from "@sluice/vfs";
import { toText } from "@sluice/native";

export class OpenSpans {
  /** The engine reuses the call object for the next request of its slot, so a finished span is removed. */
  readonly #spans = new WeakMap<CallContext, Span>();

  constructor(
    private readonly tracing: Tracing,
    private readonly mount: string,
  ) {}

  begin(call: CallContext, name: string): void {
    const { uid, pid } = call;
    const span = this.tracing.root(name, { "sluice.mount": this.mount, "sluice.uid": uid, "sluice.pid": pid });
    if (span !== undefined) this.#spans.set(call, span);
  }

  /** The span of the request of `call`; undefined if it is not traced. */
  of(call: CallContext): Span | undefined {
    return this.#spans.get(call.asker ?? call);
  }

  /** Adds facts that became known later. */
  about(call: CallContext, path: string, cached: boolean): void {
    this.of(call)?.add({ "sluice.path": toText(path), "sluice.kept_answer": cached });
  }

  /** `status`: 0 or an errno. */
  end(call: CallContext, status: number, flow: string): void {
    const span = this.#spans.get(call);
    if (span === undefined) return;
    this.#spans.delete(call);
    if (status === 0) span.add({ "sluice.flow": flow });
    span.end(status === 0 ? undefined : errnoName(status));
  }
}
