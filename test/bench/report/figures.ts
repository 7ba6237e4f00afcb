/** The judgement of each figure the project set itself: met, short with its cause, told, or not measured in this run. */
import { type PhaseResult, ratioOf } from "../run/measurements.js";
import { geometricMean, type Spread, spreadOf } from "../run/statistics.js";
import type { ScalePoint } from "../scale/scale-point.js";
import { type BenchReport, conditionsOf, type StorageReport } from "./bench-report.js";
import { causeOf } from "./causes.js";
import { CURVE_FIGURES, type CurveFigure, type Limit, LIMITS, PHASE_FIGURES, type PhaseFigure } from "./figure-list.js";
import { formatRatio } from "./format.js";

export interface FigureOutcome {
  what: string;
  /** The storage of the layers, or "" if there is one measurement in all. */
  on: string;
  wanted: string;
  found: string;
  outcome: "met" | "short" | "told" | "not measured";
  /** Short by its median, where the upper quartile reaches what is wanted. */
  withinSpread?: boolean;
  /** The reason, if a goal is missed. */
  cause: string;
}

const NOT_KNOWN = "not known";

function outcomeOf(
  figure: { what: string; atLeast: number },
  ratio: Spread,
  phase: string,
): Pick<FigureOutcome, "outcome" | "cause" | "withinSpread"> {
  if (figure.atLeast === 0) return { outcome: "told", cause: "" };
  if (ratio.median >= figure.atLeast) return { outcome: "met", cause: "" };
  return { outcome: "short", withinSpread: ratio.high >= figure.atLeast, cause: causeOf(figure.what, phase) || NOT_KNOWN };
}

const exactly = (value: number): Spread => ({ median: value, low: value, high: value });

/** The ratio, or undefined where either was not measured. Of several others it is the worst. */
function judged(result: PhaseResult, figure: PhaseFigure, peers: readonly string[]): Spread | undefined {
  const others = figure.against === "peers" ? peers : [figure.against];
  const ratios = others.flatMap((other) => ratioOf(result, figure.subject, other) ?? []);
  return ratios.reduce<Spread | undefined>((worst, one) => (worst === undefined || one.median < worst.median ? one : worst), undefined);
}

function phasesOf({ phases }: PhaseFigure, results: readonly PhaseResult[]): readonly PhaseResult[] {
  return typeof phases === "string" ? results.filter(({ group }) => group === phases) : results.filter(({ name }) => phases.includes(name));
}

function judgePhases(figure: PhaseFigure, storage: StorageReport, peers: readonly string[]): FigureOutcome[] {
  if ((figure.busy === true) !== (storage.busy === true)) return [];
  const found = phasesOf(figure, storage.results).flatMap((result) => {
    const ratio = judged(result, figure, peers);
    return ratio === undefined ? [] : [{ name: result.name, ratio }];
  });
  const common = { on: conditionsOf(storage), wanted: figure.atLeast === 0 ? "" : `≥ ${figure.atLeast.toFixed(2)}` };
  if (found.length === 0) return [{ ...common, what: figure.what, found: "–", outcome: "not measured", cause: "" }];
  if (figure.mean) {
    const mean = geometricMean(found.map(({ ratio }) => ratio.median));
    return [{ ...common, what: figure.what, found: mean.toFixed(2), ...outcomeOf(figure, exactly(mean), "") }];
  }
  return found.map(({ name, ratio }) => {
    return { ...common, what: `${figure.what}: ${name}`, found: formatRatio(ratio), ...outcomeOf(figure, ratio, name) };
  });
}

const rounded = (value: number): string => (value >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

function judgeLimit(limit: Limit, { scale, costs }: BenchReport): FigureOutcome {
  const points = [
    ...scale.map(({ experiment, ...point }) => ({ ...point, of: "scale", name: experiment, at: point.at })),
    ...costs.map(({ cost, ...point }) => ({ ...point, of: "costs", name: cost, at: undefined })),
  ];
  const point = points.find(
    (one) => one.of === limit.of && one.name === limit.name && one.subject === limit.subject && one.at === limit.at,
  );
  const common = { what: limit.what, on: "", wanted: `≤ ${rounded(limit.most)} ${limit.unit}` };
  if (!point) return { ...common, found: "–", outcome: "not measured", cause: "" };
  const { median } = spreadOf(point.values);
  const short = !(median <= limit.most);
  const cause = short ? causeOf(limit.what, "") || NOT_KNOWN : "";
  return { ...common, found: `${rounded(median)} ${limit.unit}`, outcome: short ? "short" : "met", cause };
}

function judgeCurve(figure: CurveFigure, { scale, subjects }: BenchReport): FigureOutcome {
  const at = (subject: string, amount: number): ScalePoint | undefined =>
    scale.find((one) => {
      return one.experiment === figure.name && one.quantity === figure.quantity && one.subject === subject && one.at === amount;
    });
  const own = at("sluice", figure.at);
  const peers = subjects.filter(({ kind }) => kind === "peer").map(({ name }) => at(name, figure.at));
  const others = (figure.against === "peers" ? peers : [at("sluice", figure.against)]).filter((point) => point !== undefined);
  const common = { what: figure.what, on: "", wanted: `≥ ${figure.atLeast.toFixed(2)}` };
  if (!own || others.length === 0) return { ...common, found: "–", outcome: "not measured", cause: "" };
  const ratios = others.map((other) => {
    const [ours, theirs] = [spreadOf(own.values).median, spreadOf(other.values).median];
    return own.unit === "operations/s" ? ours / theirs : theirs / ours;
  });
  const ratio = Math.min(...ratios);
  return { ...common, found: ratio.toFixed(2), ...outcomeOf(figure, exactly(ratio), "") };
}

export function judgeFigures(report: BenchReport): FigureOutcome[] {
  const peers = report.subjects.filter(({ kind }) => kind === "peer").map(({ name }) => name);
  return [
    ...PHASE_FIGURES.flatMap((figure) => report.storages.flatMap((storage) => judgePhases(figure, storage, peers))),
    ...CURVE_FIGURES.map((figure) => judgeCurve(figure, report)),
    ...LIMITS.map((limit) => judgeLimit(limit, report)),
  ];
}
