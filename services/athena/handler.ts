// Lambda handler of the athena queue.
import {
  dataStore,
  emitter,
  queryEngine,
  queue,
  resultsStore,
  settings,
  workStore,
} from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { athenaService } from "./service.ts";

export const handler = lambdaHandler(athenaService, () => ({
  datasets,
  engine: queryEngine(),
  work: workStore(),
  data: dataStore(),
  results: resultsStore(),
  athenaQueue: queue("athena"),
  checkSeconds: settings.queryCheckSeconds(),
  emit: emitter(),
  now: () => new Date(),
}));
