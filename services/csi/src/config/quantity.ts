/** Quantities as Kubernetes writes them: 1073741824, 512Mi, 2G. */
const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** @returns a positive whole number, or undefined if the text is none */
export function parseQuantity(text: string): number | undefined {
  const [, digits = "", unit = ""] = /^(\d{1,15})(k|[MGT]|[KMGT]i)?$/.exec(text) ?? [];
  const value = digits === "" ? 0 : Number(digits) * (UNITS[unit] ?? 1);
  return value > 0 && Number.isSafeInteger(value) ? value : undefined;
}
