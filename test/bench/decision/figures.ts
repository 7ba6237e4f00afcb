/** A measured value and its bound. */
export interface Figure {
  name: string;
  measured: string;
  /** The ratio or size that is judged; undefined: only told. */
  value?: number;
  bound?: { kind: "most" | "least"; value: number; unit: string };
}

function outcome({ value, bound }: Figure): string {
  if (value === undefined || bound === undefined) return "told";
  const met = bound.kind === "most" ? value <= bound.value : value >= bound.value;
  return `${value.toPrecision(3)} ${bound.unit}, ${bound.kind === "most" ? "≤" : "≥"} ${bound.value} ${met ? "met" : "NOT MET"}`;
}

export function printFigures(figures: readonly Figure[]): void {
  const width = Math.max(...figures.map(({ name }) => name.length));
  for (const figure of figures) process.stdout.write(`${figure.name.padEnd(width)}  ${outcome(figure)}  (${figure.measured})\n`);
}
