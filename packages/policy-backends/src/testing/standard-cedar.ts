/** The policy of the contract suite in Cedar. For tests. */
export const STANDARD_CEDAR = `permit(principal, action, resource);

@id("secrets") forbid(principal, action in Action::"open", resource in Directory::"secret");
@id("keys") forbid(principal, action in Action::"open", resource) when { resource.name like "*.pem" };
@id("read-only") forbid(principal, action == Action::"write", resource in Directory::"readonly");
@id("banned") forbid(principal == User::"4242", action in Action::"open", resource);
@id("evil") forbid(principal, action in Action::"open", resource)
  when { principal has executable && principal.executable == "/usr/bin/evil" };
@id("restricted") forbid(principal, action in Action::"open", resource)
  when { resource.xattr has "user.class" && resource.xattr["user.class"] == "restricted" };
@id("media") forbid(principal, action == Action::"passthrough", resource in Directory::"media");
@id("work") forbid(principal, action == Action::"passthrough", resource in Directory::"work") when { resource.layer == "upper" };
`;
