/** One cost of a subject beside its speed. */
export interface CostPoint {
  /** "time to mount", "processor time at rest", … */
  cost: string;
  subject: string;
  /** "ms", "%", "bytes". */
  unit: string;
  /** One a repetition. */
  values: readonly number[];
}
