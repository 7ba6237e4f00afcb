/** Every case of the suite. */
import { changeTimeCases } from "./change-times.js";
import { copyUpCases } from "./copy-up.js";
import type { Case } from "./case.js";
import { dataCases } from "./data.js";
import { inodeCases } from "./inode-numbers.js";
import { linkCases } from "./links.js";
import { listingCases } from "./listing.js";
import { lookupCases } from "./lookup.js";
import { makeCases } from "./make.js";
import { nameCases } from "./names.js";
import { openFlagCases } from "./open-flags.js";
import { permissionCases } from "./permissions.js";
import { randomWalkCases } from "./random-walk.js";
import { readOnlyCases } from "./read-only.js";
import { refusalCases } from "./refusals.js";
import { removeCases } from "./remove.js";
import { renameDirectoryCases } from "./rename-directories.js";
import { renameFileCases } from "./rename-files.js";
import { renameFlagCases } from "./rename-flags.js";
import { spaceCases } from "./space.js";
import { stackedLayerCases } from "./stacked-layers.js";
import { suidCases } from "./suid.js";
import { timeCases } from "./times.js";
import { unlinkedCases } from "./unlinked.js";
import { xattrCases } from "./xattrs.js";

export const allCases: readonly Case[] = [
  ...lookupCases,
  ...makeCases,
  ...removeCases,
  ...linkCases,
  ...renameFileCases,
  ...renameDirectoryCases,
  ...renameFlagCases,
  ...stackedLayerCases,
  ...copyUpCases,
  ...permissionCases,
  ...suidCases,
  ...unlinkedCases,
  ...dataCases,
  ...spaceCases,
  ...nameCases,
  ...xattrCases,
  ...listingCases,
  ...inodeCases,
  ...timeCases,
  ...changeTimeCases,
  ...openFlagCases,
  ...refusalCases,
  ...readOnlyCases,
  ...randomWalkCases,
];
