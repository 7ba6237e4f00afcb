/** The keeper of this process, which holds all its mounts: how a mount gets there, and how it comes back in the next process. */
import { type HeldMount, LayerError, openSocketLink, type ServiceLink } from "@sluice/keeper-link";
import { unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { KeeperSession } from "../keeper/keeper-session.js";
import { mountPlan } from "../keeper/start-keeper.js";
import type { MountClient } from "./mount-client.js";

/** The next process gets this with a mount. */
export interface Bequest {
  config: MountConfig;
  client: MountClient;
}

/** Earlier versions know `attached` alone. */
type Written = MountClient & { config: MountConfig };

function sessionOf(socket: number, config: MountConfig): KeeperSession {
  const link = openSocketLink(socket, {
    plan: mountPlan(config),
    // This process reads marks in trusted.* attributes for any mount, so it has the privilege itself.
    registerByKeeper: false,
    onLost: () => process.exit(1),
  });
  return { link, runDirectory: undefined, joined: false };
}

export class HostKeeper {
  constructor(
    private readonly link: Pick<ServiceLink, "hold">,
    readonly socket: string,
  ) {}

  /** The keeper opens the layers. @throws CliError */
  hold({ config, client }: Bequest): KeeperSession {
    try {
      const socket = this.link.hold({ plan: mountPlan(config), config: JSON.stringify({ config, ...client } satisfies Written) });
      return sessionOf(socket, config);
    } catch (error) {
      if (error instanceof LayerError) throw unfit(error.path, error.problem, error.remedy);
      throw error;
    }
  }
}

/** A mount of a process before this one. */
export function inherit(held: HeldMount): Bequest & { session: KeeperSession } {
  const { config, ...client } = JSON.parse(held.config) as Written;
  return { config, client, session: sessionOf(held.socket, config) };
}
