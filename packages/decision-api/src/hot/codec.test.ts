// The hand-written code reads and writes the bytes of the generated code, for whatever questions and answers there are.
import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decisionFromProto, decisionToProto } from "../convert.js";
import { questionFromProto, questionToProto } from "../convert-question.js";
import { type Decision, DecisionError, type Question } from "../domain.js";
import * as wire from "../gen/sluice/decision/v1/decision.js";
import { ALL_ACCESSES, ALL_OPERATIONS } from "../domain.js";
import { AnswerReader, encodeAnswers, type SentAnswer } from "./answer-codec.js";
import { MessageWriter } from "./message-writer.js";
import { unframed } from "./frames.js";
import { decodeQuestions, encodeQuestions as frameOf, type SentQuestion } from "./question-codec.js";

const encodeQuestions = (by: MessageWriter, questions: readonly SentQuestion[]): Buffer => unframed(frameOf(by, questions));

/** As `fc.string({ unit: "binary" })`, which makes a table of all of Unicode first. */
const anyUnicode = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff })), { maxLength: 60 })
  .map((points) => String.fromCodePoint(...points));
const text = fc.oneof(fc.string({ maxLength: 40 }), anyUnicode, fc.constant("x".repeat(300))).filter((each) => !each.startsWith("\uFEFF"));
const byteString = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const path = fc.oneof(
  byteString,
  fc.constantFrom("", "a", "a/b", "a//b", "./a", "a/..", "..a/b..", "a/\0", "x/".repeat(200) + "y", "z".repeat(20_000)),
);
const uint32 = fc.oneof(fc.nat(), fc.constantFrom(0, 127, 128, 16_383, 16_384, 0x7fffffff, 0x80000000, 0xffffffff));
const size = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 127n, 128n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n),
);

const question: fc.Arbitrary<Question> = fc.record(
  {
    id: fc.oneof(fc.constantFrom("q-1", "", "q".repeat(200)), text),
    operation: fc.constantFrom(...ALL_OPERATIONS),
    accesses: fc.uniqueArray(fc.constantFrom(...ALL_ACCESSES), { minLength: 0, maxLength: 3 }),
    subject: fc.record(
      { uid: uint32, gid: uint32, pid: uint32, groups: fc.array(uint32, { maxLength: 40 }), executable: text, cgroup: text },
      { requiredKeys: ["uid", "gid", "pid"] },
    ),
    resource: fc.record(
      {
        mount: text,
        paths: fc.oneof({ arbitrary: fc.tuple(path), weight: 8 }, { arbitrary: fc.array(path, { maxLength: 3 }), weight: 1 }),
        layer: text,
        kind: fc.constantFrom("regular" as const, "directory" as const, "socket" as const),
        sizeBytes: size,
        mode: uint32,
        uid: uint32,
        gid: uint32,
        labels: fc.constant({ "pod.namespace": "training" }),
        xattrs: fc.oneof(
          { arbitrary: fc.constant(new Map<string, Uint8Array>()), weight: 6 },
          { arbitrary: fc.constant(new Map([["user.a", Buffer.from([1, 255])]])), weight: 1 },
        ),
        head: fc.constantFrom({ bytes: Buffer.from([127, 255]), askedBytes: 4 }, { bytes: Buffer.from("abc"), askedBytes: 2 }),
        digest: fc.constantFrom("", "a".repeat(64), "A".repeat(64), "short"),
      },
      { requiredKeys: ["mount", "paths", "layer", "kind", "sizeBytes", "mode", "uid", "gid", "xattrs"] },
    ),
    openFlags: uint32,
    missing: fc.oneof(
      { arbitrary: fc.constant([]), weight: 6 },
      { arbitrary: fc.constant([{ name: "subject.cgroup", reason: "gone" }]), weight: 1 },
    ),
    lookedFor: fc.array(text, { maxLength: 4 }),
    mayAsk: fc.constant(true),
    awaitsPersonMs: fc.constant(Number.POSITIVE_INFINITY),
  },
  { requiredKeys: ["id", "operation", "accesses", "subject", "resource", "openFlags", "missing", "lookedFor"] },
);

const decision: fc.Arbitrary<Decision> = fc.record(
  {
    effect: fc.constantFrom("grant" as const, "mediate" as const, "ask" as const, "deny" as const),
    errno: fc.constantFrom(0, 1, 2, 13, 99),
    decisionId: fc.constantFrom("d-1", "d-2", "", "d".repeat(200), "d \n", "dé"),
    policyId: text,
    rule: text,
    revision: fc.record({ sequence: size, digest: fc.constantFrom("a".repeat(64), "b".repeat(64), "short") }),
    reason: fc.oneof(text, fc.constant("r".repeat(5_000))),
    obligations: fc.oneof(
      { arbitrary: fc.constant([]), weight: 6 },
      { arbitrary: fc.constant([{ name: "audit", value: "each-io" }]), weight: 1 },
    ),
    source: fc.constant("service" as const),
    scope: fc.option(
      fc.record({
        subtree: fc.option(byteString, { nil: undefined }),
        subject: fc.uniqueArray(fc.constantFrom("uid" as const, "groups" as const, "cgroup" as const)),
        resource: fc.uniqueArray(fc.constantFrom("size" as const, "owner" as const, "digest" as const)),
        xattrs: fc.array(text, { maxLength: 3 }),
        except: fc.array(text, { maxLength: 3 }),
        accesses: fc.uniqueArray(fc.constantFrom(...ALL_ACCESSES), { maxLength: 3 }),
        ttlMs: fc.constantFrom(undefined, undefined, undefined, 1_500),
      }),
      { nil: undefined },
    ),
    onOutage: fc.constantFrom(undefined, "deny" as const, "stale" as const),
    pending: fc.constantFrom({ askId: "aaaa-bbbb", timeoutMs: 1_500 }, { askId: "a b", timeoutMs: 60_000 }),
    byPerson: fc.constant(true),
    mayMatch: fc.constantFrom("none" as const, {
      effect: "mediate" as const,
      errno: 0,
      rule: "r",
      reason: "",
      obligations: [{ name: "audit", value: "each-io" }],
    }),
  },
  {
    requiredKeys: [
      ...(["effect", "errno", "decisionId", "policyId", "rule", "revision", "reason", "obligations"] as const),
      ...(["source", "scope", "onOutage"] as const),
    ],
  },
);

function orError<Value>(make: () => Value): Value | string {
  try {
    return make();
  } catch (error) {
    if (error instanceof DecisionError) return error.message;
    throw error;
  }
}
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, each: unknown) => {
      if (typeof each === "bigint") return `${each}n`;
      return each instanceof Map
        ? [...each].map(([name, bytes]: [string, Uint8Array]) => [name, Buffer.from(bytes).toString("hex")])
        : each;
    }),
  );
const writer = new MessageWriter();
const RUNS = { numRuns: 100, seed: 20_251_125 };

describe("questions", () => {
  it("are written as the generated code reads them, and read as it writes them", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(question, fc.nat(100_000)), { minLength: 1, maxLength: 4 }), (asked) => {
        const byHand = encodeQuestions(
          writer,
          asked.map(([each, timeoutMs], id) => ({ id: id + 1, question: each, timeoutMs })),
        );
        const { message } = wire.SessionRequest.decode(byHand);
        const pending = message?.$case === "batch" ? message.value.questions : [];
        const generated = asked.map(([each, timeoutMs], id) => ({
          id: BigInt(id + 1),
          question: questionToProto(each),
          timeout: { seconds: BigInt(Math.floor(timeoutMs / 1000)), nanos: (timeoutMs % 1000) * 1_000_000 },
          questionId: each.id,
        }));
        // The generated code's reading of its own bytes: it repairs text that is not Unicode.
        const through = wire.QuestionBatch.decode(wire.QuestionBatch.encode({ questions: generated }).finish()).questions;
        assert.deepEqual(plain(pending), plain(through));
        const bytes = Buffer.from(wire.SessionRequest.encode({ message: { $case: "batch", value: { questions: generated } } }).finish());
        for (const each of [byHand, bytes]) {
          const read = decodeQuestions(each) ?? [];
          const expected = through.map((one) => orError(() => questionFromProto(one.questionId, one.question)));
          assert.deepEqual(
            plain(read.map((one) => (one.question instanceof DecisionError ? one.question.message : one.question))),
            plain(expected),
          );
          assert.deepEqual(
            read.map(({ id, timeoutMs }) => [id, timeoutMs]),
            asked.map(([, timeoutMs], id) => [id + 1, timeoutMs]),
          );
        }
      }),
      RUNS,
    );
  });
});

describe("answers", () => {
  it("are written as the generated code reads them, and read as it writes them", () => {
    const reader = new AnswerReader();
    fc.assert(
      fc.property(fc.array(decision, { minLength: 1, maxLength: 4 }), (decisions) => {
        const answers: SentAnswer[] = [
          ...decisions.map((each, id) => ({ id: id + 1, decision: each })),
          { id: 99, failure: { code: wire.Failure_Code.DEADLINE, message: "late" } },
        ];
        const [byHand] = encodeAnswers(writer, answers).map(unframed) as [Buffer];
        const generated = wire.AnswerBatch.encode({
          answers: [
            ...decisions.map((each, id) => ({ id: BigInt(id + 1), result: { $case: "decision" as const, value: decisionToProto(each) } })),
            { id: 99n, result: { $case: "failure" as const, value: { code: wire.Failure_Code.DEADLINE, message: "late" } } },
          ],
        }).finish();
        const through = wire.AnswerBatch.decode(generated).answers;
        const { message } = wire.SessionResponse.decode(byHand);
        assert.deepEqual(plain(message?.$case === "batch" ? message.value.answers : []), plain(through));
        const bytes = Buffer.from(wire.SessionResponse.encode({ message: { $case: "batch", value: { answers: through } } }).finish());
        for (const each of [byHand, bytes]) {
          const read = reader.decode(each) ?? [];
          const expected = through.map(({ result }) =>
            result?.$case === "decision" ? orError(() => decisionFromProto(result.value)) : result?.value,
          );
          assert.deepEqual(
            plain(
              read.map((one) =>
                "failure" in one ? one.failure : one.decision instanceof DecisionError ? one.decision.message : one.decision,
              ),
            ),
            plain(expected),
          );
        }
      }),
      RUNS,
    );
  });

  it("ignores a field that a service adds: there is no place for a descriptor or a path", () => {
    const [each] = fc.sample(decision, { numRuns: 1, seed: 3 }) as [Decision];
    const known = wire.Decision.encode(decisionToProto({ ...each, decisionId: "d-1" })).finish();
    const inside = (field: number, bytes: Uint8Array): Buffer =>
      Buffer.from([(field << 3) | 2, (bytes.length & 0x7f) | 0x80, bytes.length >> 7, ...bytes]);
    // Of fields that there are not: 100, a number as a descriptor has, and 101, bytes as a path has.
    const added = Buffer.from([0xa0, 0x06, 3, 0xaa, 0x06, 11, ...Buffer.from("/etc/shadow")]);
    const answered = (bytes: Uint8Array): Buffer => inside(2, inside(1, Buffer.concat([Buffer.from([0x08, 1]), inside(2, bytes)])));
    const both = [known, Buffer.concat([known, added])].map((bytes) => new AnswerReader().decode(answered(bytes)));
    expect(both[0]).toMatchObject([{ id: 1, decision: { decisionId: "d-1" } }]);
    expect(both[1]).toEqual(both[0]);
  });
});

describe("bytes that are no message", () => {
  it("are refused or read, but never run away with", () => {
    const reader = new AnswerReader();
    const sample = encodeQuestions(writer, [
      { id: 1, question: fc.sample(question, { numRuns: 1, seed: 1 })[0] as Question, timeoutMs: 5 },
    ]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(), fc.nat(255), (bytes, at, byte) => {
        const damaged = Buffer.from(sample);
        damaged[at % damaged.length] = byte;
        for (const each of [
          Buffer.from(bytes),
          Buffer.concat([Buffer.from([0x12, bytes.length]), bytes]),
          damaged,
          damaged.subarray(0, at % damaged.length),
        ]) {
          for (const read of [(): unknown => decodeQuestions(each), (): unknown => reader.decode(each)]) {
            try {
              read();
            } catch (error) {
              assert.ok(["WireError", "RangeError", "Error"].includes((error as Error).name), error as Error);
            }
          }
        }
      }),
      { numRuns: 1_000, seed: 7 },
    );
  });
});
