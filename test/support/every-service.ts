// All services with their ports, for tests that run the whole pipeline in one process.
import type * as z from "zod/mini";
import type { Service } from "../../shared/message-loop.ts";
import { type QueueName, queueNames } from "../../shared/topology.ts";
import { everyService } from "../../stacks/local/every-service.ts";

type DepsOf<S> = S extends Service<z.ZodMiniType, infer Deps> ? Deps : never;
type Intersection<T> = (T extends unknown ? (each: T) => void : never) extends (all: infer All) => void
  ? All
  : never;
/** The dependencies of all services together. */
type EveryDeps = Intersection<DepsOf<(typeof everyService)[QueueName]>>;

/** Returns what `create` returns for each service. */
export function forEveryService<R>(
  create: <T extends z.ZodMiniType>(service: Service<T, EveryDeps>) => R,
): Record<QueueName, R> {
  return {
    kickoff: create(everyService.kickoff),
    fetcher: create(everyService.fetcher),
    transformer: create(everyService.transformer),
    assembler: create(everyService.assembler),
    deidentifier: create(everyService.deidentifier),
    athena: create(everyService.athena),
    tableau: create(everyService.tableau),
    reporter: create(everyService.reporter),
    renderer: create(everyService.renderer),
    ec2: create(everyService.ec2),
    replay: create(everyService.replay),
  };
}

/** Returns the dependencies of all services that are queues. */
export function queueDeps<Q, D>(queue: (name: QueueName) => Q, deadLetters: (name: QueueName) => D) {
  const queuePairs = queueNames.map((name) => ({
    name,
    source: queue(name),
    deadLetters: deadLetters(name),
  }));
  return {
    fetcherQueue: queue("fetcher"),
    transformerQueue: queue("transformer"),
    assemblerQueue: queue("assembler"),
    athenaQueue: queue("athena"),
    ec2Queue: queue("ec2"),
    queuePairs,
    deadLetterQueues: queuePairs,
  };
}
