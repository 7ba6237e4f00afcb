/** Questions for a person over all replicas: equal ones have one id, so the list has each once, and an answer goes to all that have it. */
import {
  type PersonAnswer,
  personAnswerToProto,
  type PersonQuestion,
  personQuestionFromProto,
  type PersonQuestions,
  type wire,
} from "@sluice/decision-api";

const CALL_MS = 5_000;
const UNREACHABLE = "no decision service can be reached: start it, and answer again";

type Client = wire.DecisionServiceClient;

function deadline(): { deadline: number } {
  return { deadline: Date.now() + CALL_MS };
}

function listOf(client: Client, mount: string): Promise<readonly PersonQuestion[] | undefined> {
  return new Promise((resolve) => {
    client.listPersonQuestions({ mount }, deadline() as never, (error: unknown, response: wire.ListPersonQuestionsResponse) => {
      resolve(error === null ? response.questions.flatMap((each) => personQuestionFromProto(each) ?? []) : undefined);
    });
  });
}

function answerTo(client: Client, request: wire.AnswerPersonQuestionRequest): Promise<string> {
  return new Promise((resolve) => {
    client.answerPersonQuestion(
      request,
      deadline() as never,
      (error: { details?: string } | null, response: wire.AnswerPersonQuestionResponse) => {
        resolve(error === null ? response.refused : `the decision service takes no answer from here: ${error.details ?? "it failed"}`);
      },
    );
  });
}

/** The same question at two replicas: an answer holds if one has it, and all callers count. */
function merged(one: PersonQuestion, other: PersonQuestion): PersonQuestion {
  const { answer, answeredBy } = one.answer === undefined ? other : one;
  return { ...one, answer, answeredBy, waiting: one.waiting + other.waiting, sinceMs: Math.min(one.sinceMs, other.sinceMs) };
}

/**
 * "Once" is for the callers that wait, at whichever replicas. If none waits, it is for one attempt, so that one replica may give it, and
 * the others forget the question.
 */
async function onceAmong(
  clients: readonly Client[],
  mount: string,
  askId: string,
): Promise<{ answers: readonly Client[]; forgets: readonly Client[] }> {
  const lists = await Promise.all(clients.map((client) => listOf(client, mount)));
  const waiting = lists.map((list) => list?.find((each) => each.askId === askId)?.waiting);
  const holders = clients.filter((_, at) => waiting[at] !== undefined);
  if (holders.length < 2) return { answers: holders.length === 0 ? clients : holders, forgets: [] };
  const waitedFor = clients.filter((_, at) => (waiting[at] ?? 0) > 0);
  const answers = waitedFor.length > 0 ? waitedFor : holders.slice(0, 1);
  return { answers, forgets: holders.filter((client) => !answers.includes(client)) };
}

/** `clients`: of the replicas that can be reached. `mount`: the questions of this mount alone. */
export function personQuestions(clients: () => readonly Client[], mount: string): PersonQuestions {
  return {
    async list() {
      const lists = await Promise.all(clients().map((client) => listOf(client, mount)));
      const byId = new Map<string, PersonQuestion>();
      for (const each of lists.flatMap((list) => list ?? [])) {
        const known = byId.get(each.askId);
        byId.set(each.askId, known === undefined ? each : merged(known, each));
      }
      return [...byId.values()].sort((one, other) => one.sinceMs - other.sinceMs);
    },
    async answer(askId, answer: PersonAnswer, by) {
      const all = clients();
      if (all.length === 0) return UNREACHABLE;
      const { answers, forgets } = answer === "once" ? await onceAmong(all, mount, askId) : { answers: all, forgets: [] };
      const send = (client: Client, word: PersonAnswer): Promise<string> =>
        answerTo(client, { askId, answer: personAnswerToProto(word), answeredBy: by });
      await Promise.all(forgets.map((client) => send(client, "revoke")));
      const refusals = await Promise.all(answers.map((client) => send(client, answer)));
      return refusals.includes("") ? undefined : refusals[0];
    },
  };
}
