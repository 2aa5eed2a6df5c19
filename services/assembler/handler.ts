// Lambda handler of the assembler queue.
import { dataStore, emitter, queue, resultsStore, tableCatalog, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { assemblerService } from "./service.ts";

export const handler = lambdaHandler(assemblerService, () => ({
  datasets,
  work: workStore(),
  data: dataStore(),
  results: resultsStore(),
  tables: tableCatalog(),
  fetcherQueue: queue("fetcher"),
  emit: emitter(),
  now: () => new Date(),
}));
