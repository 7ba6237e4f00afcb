/** Tells whether the result of a call is an error: its name, or its number if it has no name. */
export function isError(result: unknown): boolean {
  return typeof result === "string" && /^(E[A-Z0-9]+$|errno )/.test(result);
}
