// Runs the services that collect a dataset one message after the other, at any time of a simulated calendar.
import { randomUUID } from "node:crypto";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { type EventDetail, type RunRequested, runRequested } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import { messageBody, type ObjectStore } from "../../shared/ports.ts";
import { type RunResult, runIdOf, runResult } from "../../shared/run.ts";
import type { QueueName } from "../../shared/topology.ts";
import { everyService } from "../../stacks/local/every-service.ts";
import { capturedEvents, receive, runService, type TestLocal } from "./local-adapters.ts";
import { ScriptedQueryEngine } from "./scripted-query-engine.ts";

const collecting = ["kickoff", "fetcher", "transformer", "assembler"] as const;
/** More rounds than any run of a test takes. */
const maxRounds = 2_000;

export type Pipeline = {
  work: LocalStore;
  data: LocalStore;
  /** Requests a run, and handles messages until none is left. */
  run(time: string, given?: PipelineRun): Promise<RunResult>;
};
type PipelineRun = {
  detail?: Partial<EventDetail<"run.requested">>;
  dataset?: Dataset;
  /** Changes the work bucket that the assembler gets. */
  assemblerWork?: (work: LocalStore) => ObjectStore;
};

export function startPipeline(local: TestLocal, standard: Dataset, libInsight: LibInsightClient): Pipeline {
  const [work, data, results] = [local.store(), local.store({ keepsVersions: true }), local.store()];
  const pairs = Object.fromEntries(collecting.map((name) => [name, local.queuePair(name)]));
  const pair = (name: QueueName) => pairs[name] ?? local.queuePair(name);

  async function handle(
    name: (typeof collecting)[number],
    time: string,
    given: PipelineRun,
  ): Promise<boolean> {
    const messages = await receive(pair(name).source);
    const deps = {
      ...{ work, data, results, libInsight, tables: new ScriptedQueryEngine(), ...capturedEvents() },
      datasets: [given.dataset ?? standard],
      fetcherQueue: pair("fetcher").source,
      transformerQueue: pair("transformer").source,
      assemblerQueue: pair("assembler").source,
      measure: () => {},
      now: () => new Date(time),
    };
    const own = pair(name);
    if (name === "kickoff") await runService(everyService.kickoff, deps, own, messages);
    else if (name === "fetcher") await runService(everyService.fetcher, deps, own, messages);
    else if (name === "transformer") await runService(everyService.transformer, deps, own, messages);
    else {
      const changed = { ...deps, work: given.assemblerWork?.(work) ?? work };
      await runService(everyService.assembler, changed, own, messages);
    }
    return messages.length > 0;
  }

  return {
    work,
    data,
    async run(time, given = {}) {
      const dataset = (given.dataset ?? standard).name;
      const requestId = randomUUID();
      const request: RunRequested = runRequested.parse({
        ...{ id: requestId, source: "libinsight.pipeline", time, "detail-type": "run.requested" },
        detail: { dataset, reason: "test", requestId, ...given.detail },
      });
      await pair("kickoff").source.send(messageBody(request));
      for (let round = 0; round < maxRounds; round++) {
        let isIdle = true;
        for (const name of collecting) if (await handle(name, time, given)) isIdle = false;
        if (isIdle) break;
      }
      const result = await work.getJson(keys.result(runIdOf(dataset, requestId)), runResult);
      if (result) return result;
      const [letter] = (await Promise.all(collecting.map((name) => receive(pair(name).deadLetters)))).flat();
      throw new Error(`The run has no result. Dead letter: ${JSON.stringify(letter?.attributes)}`);
    },
  };
}
