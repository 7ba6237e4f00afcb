/** Every case of the suite. */
import type { Case } from "./case.js";
import { changeTimeCases } from "./attributes/change-times.js";
import { inodeFlagCases } from "./attributes/inode-flags.js";
import { inodeCases } from "./attributes/inode-numbers.js";
import { permissionCases } from "./attributes/permissions.js";
import { suidCases } from "./attributes/suid.js";
import { timeCases } from "./attributes/times.js";
import { xattrCases } from "./attributes/xattrs.js";
import { limitCases } from "./errors/limits.js";
import { refusalCases } from "./errors/refusals.js";
import { dataCases } from "./files/data.js";
import { endpointCases } from "./files/endpoints.js";
import { openFlagCases } from "./files/open-flags.js";
import { spaceCases } from "./files/space.js";
import { unlinkedCases } from "./files/unlinked.js";
import { copyUpCases } from "./layers/copy-up.js";
import { lookupCases } from "./layers/lookup.js";
import { marksLeftCases } from "./layers/marks-left.js";
import { readOnlyCases } from "./layers/read-only.js";
import { stackedLayerCases } from "./layers/stacked-layers.js";
import { linkCases } from "./names/links.js";
import { listingCases } from "./names/listing.js";
import { makeCases } from "./names/make.js";
import { nameCases } from "./names/names.js";
import { pathEndingCases } from "./names/path-endings.js";
import { removeCases } from "./names/remove.js";
import { renameDirectoryCases } from "./names/rename-directories.js";
import { renameFileCases } from "./names/rename-files.js";
import { renameFlagCases } from "./names/rename-flags.js";
import { workingDirectoryCases } from "./names/working-directories.js";
import { randomWalkCases } from "./random-walk.js";

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
