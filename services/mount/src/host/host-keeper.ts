/** The keeper of this process, which holds all its mounts: how a mount gets there, and how it comes back in the next process. */
import { type HeldMount, LayerError, openSocketLink, type ServiceLink } from "@sluice/keeper-link";
import { unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { KeeperSession } from "../keeper/keeper-session.js";
import { mountPlan } from "../keeper/start-keeper.js";

/** The next process gets this with a mount. */
export interface Bequest {
  config: MountConfig;
  /** The mount ends with a call of its client. */
  attached: boolean;
}

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
  hold(bequest: Bequest): KeeperSession {
    const { config } = bequest;
    try {
      const socket = this.link.hold({ plan: mountPlan(config), config: JSON.stringify(bequest) });
      return sessionOf(socket, config);
    } catch (error) {
      if (error instanceof LayerError) throw unfit(error.path, error.problem, error.remedy);
      throw error;
    }
  }
}

/** A mount of a process before this one. */
export function inherit(held: HeldMount): Bequest & { session: KeeperSession } {
  const { config, attached } = JSON.parse(held.config) as Bequest;
  return { config, attached, session: sessionOf(held.socket, config) };
}
