/** One measured point of a curve: how cost or memory grows with one quantity. */
export interface ScalePoint {
  experiment: string;
  subject: string;
  /** "layers", "names", "clients", "files". */
  quantity: string;
  at: number;
  /** "ns/op", "operations/s", "bytes". */
  unit: string;
  /** One a repetition. */
  values: readonly number[];
}
