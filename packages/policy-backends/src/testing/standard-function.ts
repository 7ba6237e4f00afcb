/** The policy of the contract suite as a function, for stand-ins of engines that cannot be had here. For tests. */
export interface StandardInput {
  action: string;
  access: string;
  uid: number;
  executable: string | undefined;
  path: string;
  layer: string;
  fileClass: string | undefined;
}

/** Yes or no to one of the two questions. */
export function standardAllows({ action, access, uid, executable, path, layer, fileClass }: StandardInput): boolean {
  if (action === "passthrough") return !path.startsWith("media/") && !(path.startsWith("work/") && layer === "upper");
  return !(
    path.startsWith("secret/") ||
    path.endsWith(".pem") ||
    (path.startsWith("readonly/") && access === "write") ||
    uid === 4242 ||
    executable === "/usr/bin/evil" ||
    fileClass === "restricted"
  );
}
