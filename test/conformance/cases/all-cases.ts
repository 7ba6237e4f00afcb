/** Every case of the suite. */
import type { Case } from "./case.js";
import { changeTimeCases } from "./change-times.js";
import { copyUpCases } from "./copy-up.js";
import { dataCases } from "./data.js";
import { endpointCases } from "./endpoints.js";
import { inodeFlagCases } from "./inode-flags.js";
import { inodeCases } from "./inode-numbers.js";
import { limitCases } from "./limits.js";
import { linkCases } from "./links.js";
import { listingCases } from "./listing.js";
import { lookupCases } from "./lookup.js";
import { makeCases } from "./make.js";
import { marksLeftCases } from "./marks-left.js";
import { nameCases } from "./names.js";
import { openFlagCases } from "./open-flags.js";
import { pathEndingCases } from "./path-endings.js";
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
import { workingDirectoryCases } from "./working-directories.js";
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
  ...endpointCases,
  ...inodeFlagCases,
  ...limitCases,
  ...marksLeftCases,
  ...pathEndingCases,
  ...workingDirectoryCases,
  ...readOnlyCases,
  ...randomWalkCases,
];
