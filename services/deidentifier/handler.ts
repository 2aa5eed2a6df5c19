// Lambda handler of the deidentifier queue.
import {
  dataStore,
  emitter,
  resultsStore,
  settings,
  tableCatalog,
  workStore,
} from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { deidentifierService } from "./service.ts";

export const handler = lambdaHandler(deidentifierService, () => ({
  datasets,
  work: workStore(),
  data: dataStore(),
  results: resultsStore(),
  tables: tableCatalog(),
  emit: emitter(),
  pseudonymKey: () => settings.pseudonymKey(),
  now: () => new Date(),
}));
