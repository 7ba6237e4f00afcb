/** Gets a line for the person who mounts, and its object: the mount point or a layer. */
export type Tell = (object: string, line: string) => void;

export const toStandardError: Tell = (object, line) => void process.stderr.write(`sluice: ${object}: ${line}\n`);
