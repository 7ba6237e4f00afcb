/**
 * Questions to an AuthZEN 1.0 policy decision point, many in one request (boxcarred): those of one turn of the event loop
 * go together, and while requests are under way the next ones gather. A point without `evaluations` is asked one by one.
 *
 * Only questions that agree on whatever they share go into one request. Cerbos 0.55 judges two evaluations of one resource
 * by the properties of the first of them: a read and a write, told apart by a property, would get the same answer.
 */
import type { JsonClient, JsonResponse } from "../remote/json-client.js";

export interface Evaluation {
  subject: unknown;
  action: unknown;
  resource: unknown;
  context: unknown;
}
export interface EvaluationAnswer {
  decision: boolean;
  context?: unknown;
}

export interface Endpoints {
  evaluation: string;
  evaluations: string | undefined;
}

const MAX_IN_REQUEST = 64;
/** How many of those that wait are looked at for one request. */
const LOOK_AHEAD = 512;
const MAX_UNDER_WAY = 8;
const NOT_THERE = new Set([404, 405, 501]);

interface Waiting {
  evaluation: Evaluation;
  resolve(answer: EvaluationAnswer): void;
  reject(error: Error): void;
}

function refused({ status, body }: JsonResponse): Error {
  const said = typeof body === "string" ? `: ${body.slice(0, 200)}` : "";
  return new Error(`the policy decision point answered with HTTP ${status}${said}`);
}

function answerOf(value: unknown): EvaluationAnswer {
  const decision = (value as { decision?: unknown } | null | undefined)?.decision;
  if (typeof decision !== "boolean") throw new Error("the policy decision point answered without a decision");
  return value as EvaluationAnswer;
}

/** The parts that all evaluations of one request share: of a subject, a resource, and the context. */
class Shared {
  private readonly said = new Map<string, string>();

  fits({ subject, action, resource, context }: Evaluation): boolean {
    const { properties } = action as { properties?: unknown };
    const says: [string, string][] = [
      ["context", JSON.stringify(context)],
      [`subject ${idOf(subject)}`, JSON.stringify(subject)],
      [`resource ${idOf(resource)}`, JSON.stringify([resource, properties])],
    ];
    if (says.some(([key, text]) => (this.said.get(key) ?? text) !== text)) return false;
    for (const [key, text] of says) this.said.set(key, text);
    return true;
  }
}

const idOf = (part: unknown): string => String((part as { id?: unknown } | null | undefined)?.id);

export class Evaluations {
  private readonly waiting: Waiting[] = [];
  private underWay = 0;
  private scheduled = false;

  constructor(
    private readonly client: JsonClient,
    private readonly endpoints: Endpoints,
  ) {}

  ask(evaluation: Evaluation): Promise<EvaluationAnswer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ evaluation, resolve, reject });
      if (this.scheduled) return;
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.send();
      });
    });
  }

  private send(): void {
    while (this.waiting.length > 0 && this.underWay < MAX_UNDER_WAY) {
      const together = this.endpoints.evaluations === undefined ? this.waiting.splice(0, 1) : this.takeTogether();
      this.underWay++;
      void this.sendTogether(together).finally(() => {
        this.underWay--;
        this.send();
      });
    }
  }

  /** The oldest, and those after it that fit to it. */
  private takeTogether(): Waiting[] {
    const shared = new Shared();
    const together: Waiting[] = [];
    const left: Waiting[] = [];
    for (const each of this.waiting.splice(0, LOOK_AHEAD)) {
      if (together.length < MAX_IN_REQUEST && shared.fits(each.evaluation)) together.push(each);
      else left.push(each);
    }
    this.waiting.unshift(...left);
    return together;
  }

  /** Never rejects: each of them hears of it. */
  private async sendTogether(together: readonly Waiting[]): Promise<void> {
    try {
      const answers = await this.request(together.map(({ evaluation }) => evaluation));
      together.forEach(({ resolve }, index) => resolve(answers[index] as EvaluationAnswer));
    } catch (error) {
      for (const { reject } of together) reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private async request(evaluations: readonly Evaluation[]): Promise<EvaluationAnswer[]> {
    const path = this.endpoints.evaluations;
    if (path === undefined || evaluations.length === 1) return Promise.all(evaluations.map((each) => this.single(each)));
    const response = await this.client.send(path, { evaluations, options: { evaluations_semantic: "execute_all" } });
    if (NOT_THERE.has(response.status)) {
      this.endpoints.evaluations = undefined;
      return Promise.all(evaluations.map((each) => this.single(each)));
    }
    if (response.status !== 200) throw refused(response);
    const answers = (response.body as { evaluations?: unknown } | undefined)?.evaluations;
    if (!Array.isArray(answers) || answers.length !== evaluations.length)
      throw new Error("the policy decision point did not answer each question");
    return answers.map(answerOf);
  }

  private async single(evaluation: Evaluation): Promise<EvaluationAnswer> {
    const response = await this.client.send(this.endpoints.evaluation, evaluation);
    if (response.status !== 200) throw refused(response);
    return answerOf(response.body);
  }
}
