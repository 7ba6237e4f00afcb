/** Is what a call gave an error: its name, or its number where it has none? */
export function isError(result: unknown): boolean {
  return typeof result === "string" && /^(E[A-Z0-9]+$|errno )/.test(result);
}
