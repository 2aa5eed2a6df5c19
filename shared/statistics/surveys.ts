// The surveys that `npm run stats` can fill. Add a file for each year whose definitions differ.
import type { Survey } from "./survey.ts";
import { acrl2015 } from "./surveys/acrl-2015.ts";
import { acrl2022 } from "./surveys/acrl-2022.ts";
import { arl2013 } from "./surveys/arl-2013.ts";
import { nisoZ39Edition2013 } from "./surveys/niso-z39.7-2013.ts";

export const surveys: readonly Survey[] = [acrl2015, acrl2022, arl2013, nisoZ39Edition2013];
