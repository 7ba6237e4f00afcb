/**
 * A mount for the directed tests: the attacking user owns everything in it, and others may change it, so that only the policy
 * refuses.
 */
import { spawnSync } from "node:child_process";
import { Actor, layers, type Layers, mountSluice, type SluiceMount, type SluiceMountOptions, type Tree } from "@sluice/testkit";

export const ATTACKER = 1000;

export interface Stage extends Layers {
  mount: SluiceMount;
  actor: Actor;
  at(name: string): string;
}

export function ownedLayers(tree: Tree): Layers {
  const made = layers({ lower: tree });
  spawnSync("chown", ["-R", `${ATTACKER}:${ATTACKER}`, made.lower, made.upper]);
  spawnSync("chmod", ["-R", "a+rwX", made.lower, made.upper]);
  return made;
}

export async function setStage(made: Layers, options: Partial<SluiceMountOptions>): Promise<Stage> {
  const mount = await mountSluice({ lowers: [made.lower], upper: made.upper, ...options });
  return { ...made, mount, actor: await Actor.start(ATTACKER), at: (name) => mount.path(name) };
}
