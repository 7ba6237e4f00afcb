/** Opens another upper layer for a mount in use, with a work directory and a record of the base: see the request `restack`. */
import { basename, dirname, join } from "node:path";
import { BaseRecorder } from "@sluice/base-record";
import { type KeeperLink, LayerError, type NextNames } from "@sluice/keeper-link";
import { openRealDirectory, toBytes } from "@sluice/native";
import type { NextUpper } from "@sluice/overlay";
import { errnoName, O } from "@sluice/vfs";
import type { MountConfig } from "../config/mount-config.js";

export interface OpenedNext extends NextUpper {
  /** It is not used. The overlay has closed what is its own. */
  giveUp(): void;
}

/** @throws LayerError */
export type OpenNext = (names: NextNames & { readonly formerPath: string }) => OpenedNext;

/** @throws LayerError */
function openRecord({ recordBase = "", upper = "" }: Partial<MountConfig>, { next }: NextNames): BaseRecorder {
  const path = join(dirname(recordBase), next, basename(recordBase));
  const fd = dirname(recordBase) === dirname(upper) ? openRealDirectory(toBytes(path), O.RDONLY) : -1;
  const refuse = (status: number): Error =>
    new LayerError(path, `the record of the base cannot be opened (${errnoName(-status)})`, "let it lie beside the upper layer");
  if (fd < 0) throw refuse(fd);
  try {
    return new BaseRecorder(fd);
  } catch (error) {
    if (error instanceof RangeError) throw refuse(Number(error.message));
    throw error;
  }
}

/** Undefined with a keeper. `recorder`: the record that the mount has now. */
export function nextUpper(config: MountConfig, { openNext }: KeeperLink, recorder: BaseRecorder | undefined): OpenNext | undefined {
  if (openNext === undefined) return undefined;
  return (names) => {
    const record = recorder === undefined ? undefined : openRecord(config, names);
    try {
      const { upper, work, take, giveUp } = openNext(names);
      return {
        ...{ upper, work, formerPath: names.formerPath },
        take: async () => {
          const status = await take();
          if (status === 0 && record !== undefined) recorder?.continueIn(record);
          return status;
        },
        giveUp: () => {
          record?.close();
          giveUp();
        },
      };
    } catch (error) {
      record?.close();
      throw error;
    }
  };
}
