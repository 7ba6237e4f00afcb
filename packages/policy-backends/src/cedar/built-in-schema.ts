/** The Cedar schema of Sluice's questions: the facts that a policy may look at. Mistakes in policies are found by it. */

const optionalTexts = (names: readonly string[]): string => names.map((name) => `${JSON.stringify(name)}?: String`).join(", ");

/** `xattrs` and `labels`: those that policies may read. In Cedar's own notation, as the documentation shows it. */
export function builtInSchema(xattrs: readonly string[], labels: readonly string[] = []): string {
  return `entity Group;
entity Directory;
entity User in [Group] {
  uid: Long,
  gid: Long,
  executable?: String,
  cgroup?: String,
};
entity File in [Directory] {
  path: String,
  name: String,
  mount: String,
  layer: String,
  kind: String,
  size: Long,
  mode: Long,
  uid: Long,
  gid: Long,
  xattr: { ${optionalTexts(xattrs)} },
  label: { ${optionalTexts(labels)} },
  head?: String,
  digest?: String,
};
action "open";
action "read", "write", "execute", "create", "delete", "link", "rename", "truncate", "metadata" in ["open"]
  appliesTo { principal: User, resource: File, context: { access: String } };
action "passthrough" appliesTo { principal: User, resource: File, context: { access: String } };
`;
}
