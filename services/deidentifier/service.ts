// The service that writes the de-identified file after each publication, and on request.
import { findDataset } from "../../shared/datasets.ts";
import { deidentificationWanted } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { type DeidentifierDeps, deidentify } from "./deidentify.ts";

export const deidentifierService = defineService({
  name: "deidentifier",
  schema: deidentificationWanted,
  span: () => ({ name: "deidentify" }),
  handle: ({ detail: { dataset } }, deps: DeidentifierDeps) =>
    deidentify(findDataset(dataset, deps.datasets), deps),
});
