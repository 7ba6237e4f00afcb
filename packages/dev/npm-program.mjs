// The npm that runs us if one does, so that a machine with several keeps to one.
/** @returns {{ file: string, argv: string[] }} a program and the arguments before npm's own */
export function npmProgram() {
  const npm = process.env["npm_execpath"];
  return npm?.endsWith(".js") ? { file: process.execPath, argv: [npm] } : { file: npm ?? "npm", argv: [] };
}
