/**
 * `kind: shadow`: one policy is in force, and a candidate is asked beside it. Differing answers of the candidate are
 * reported, and never change an answer. A slow, broken or missing candidate harms nobody: it is asked later, and not asked
 * at all about questions that it cannot keep up with.
 */
import type { Question } from "@sluice/decision-api";
import { z } from "zod";
import type { Ruling } from "../backend.js";
import type { BackendEvents, Engine, PolicyKind } from "../policy-kind.js";
import { combined, loadParts, PART_REMEDY, partSchema } from "./parts.js";

const schema = z.strictObject({
  kind: z.literal("shadow"),
  revision: z.number().int().min(0).optional(),
  enforce: partSchema,
  candidate: partSchema,
});

/** Questions that wait for the candidate. */
const MAX_BEHIND = 1_024;
/** Asked in one turn of the event loop, so that those who wait for an answer are not behind the candidate. */
const A_TURN = 16;

const key = ({ effect, errno, obligations }: Ruling): string =>
  JSON.stringify([effect, errno, obligations.map(({ name, value }) => `${name}=${value}`).sort()]);

class Candidate {
  private readonly waiting: { question: Question; inForce: Ruling }[] = [];
  private underWay = 0;
  private scheduled = false;

  constructor(
    private readonly engine: Engine,
    private readonly events: BackendEvents,
  ) {}

  compare(question: Question, inForce: Ruling): void {
    if (this.waiting.length + this.underWay >= MAX_BEHIND) {
      this.events.shadowSkipped();
      return;
    }
    this.waiting.push({ question, inForce });
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled || this.waiting.length === 0) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      for (const { question, inForce } of this.waiting.splice(0, A_TURN)) void this.ask(question, inForce);
      this.schedule();
    });
  }

  private async ask(question: Question, inForce: Ruling): Promise<void> {
    this.underWay++;
    try {
      const candidate = await this.engine.evaluate(question);
      if (key(candidate) === key(inForce)) this.events.shadowAgreed();
      else this.events.shadowDiffered({ question, inForce, candidate });
    } catch (error) {
      this.events.shadowFailed(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.underWay--;
    }
  }
}

export const shadowKind: PolicyKind<z.infer<typeof schema>> = {
  name: "shadow",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : []),
    remedies: { enforce: PART_REMEDY, candidate: PART_REMEDY, revision: "write a whole number that grows with each edit" },
  },
  async load({ enforce, candidate: proposed }, context) {
    const parts = await loadParts(
      [enforce, proposed].map((part, index) => ({ part, path: [index === 0 ? "enforce" : "candidate"] })),
      context,
    );
    const [inForce, beside] = parts.map(({ engine }) => engine) as [Engine, Engine];
    const candidate = new Candidate(beside, context.events);
    const tell = (question: Question, ruling: Ruling): Ruling => {
      candidate.compare(question, ruling);
      return ruling;
    };
    const all = combined(parts, (question) => {
      const ruling = inForce.evaluate(question);
      return ruling instanceof Promise ? ruling.then((late) => tell(question, late)) : tell(question, ruling);
    });
    return {
      ...all,
      get looksAt() {
        return all.looksAt;
      },
      // The names that the candidate hides are hidden once it is in force.
      get hides() {
        return inForce.hides;
      },
      // A change of the candidate is none of the policy in force.
      remoteRevision: inForce.remoteRevision,
      onChange: (listener) => inForce.onChange?.(listener),
    };
  },
};
