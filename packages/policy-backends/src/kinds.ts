/** Every kind of policy but `rules`, by the name that `kind:` has. */
import { authzenKind } from "./authzen/authzen-kind.js";
import { cedarKind } from "./cedar/cedar-kind.js";
import { chainKind } from "./combine/chain-kind.js";
import { denyOverridesKind } from "./combine/deny-overrides-kind.js";
import { shadowKind } from "./combine/shadow-kind.js";
import { extAuthzKind } from "./ext-authz/ext-authz-kind.js";
import { grpcKind } from "./grpc/grpc-kind.js";
import { opaKind } from "./opa/opa-kind.js";
import { opaWasmKind } from "./opa-wasm/opa-wasm-kind.js";
import type { PolicyKind } from "./policy-kind.js";
import { bundleKind } from "./source/bundle-kind.js";
import { natsKind } from "./source/nats-kind.js";

const KINDS: readonly PolicyKind[] = [
  authzenKind,
  cedarKind,
  opaKind,
  opaWasmKind,
  extAuthzKind,
  grpcKind,
  chainKind,
  denyOverridesKind,
  shadowKind,
  bundleKind,
  natsKind,
] as unknown as readonly PolicyKind[];

export function kindNames(): readonly string[] {
  return ["rules", ...KINDS.map(({ name }) => name)];
}

export function findKind(name: string): PolicyKind | undefined {
  return KINDS.find((kind) => kind.name === name);
}
