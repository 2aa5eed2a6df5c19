// The simulated kinds of LibInsight datasets.
import type { KindName } from "../../../../shared/kinds/kinds.ts";
import type { ParsedSettings } from "../simulator-settings.ts";
import { eResources, type Use } from "./e-resources/e-resources.ts";
import { gateCount, type HourCount } from "./gate-count/gate-count.ts";
import { ledger } from "./ledger.ts";
import { recordStore } from "./records/record-store.ts";
import { type RecordData, records } from "./records/records.ts";
import type { Responder } from "./simulated-kind.ts";

export const simulatedKinds = { records, "gate-count": gateCount, "e-resources": eResources };
const all = Object.values(simulatedKinds);

/** The last names of the paths of all kinds. */
const namesOfPaths = all.flatMap(({ paths }) => paths.map(([, endpoint]) => endpoint));
export const endpoints = [...new Set(["token" as const, ...namesOfPaths])];
export type Endpoint = (typeof endpoints)[number];

/** Parameters that may appear in the log. */
export const knownParameters: ReadonlySet<string> = new Set(all.flatMap(({ parameters }) => parameters));

/** What a test reads and changes. What the dataset's kind does not have is empty, and changing it is an error. */
export type SimulatedData = RecordData & {
  /** Returns the gate counts of some days, both inclusive; by default of all days. */
  counts(from?: string, to?: string): Generator<HourCount>;
  /** Returns the use of e-resources of some days, both inclusive; by default of all days. */
  uses(from?: string, to?: string): Generator<Use>;
  /** Changes the count of an entry of `counts` or `uses`. @throws PipelineError `NoSuchCount` */
  setCount(entry: HourCount | Use, count: number): void;
};

/** Generates the data of the dataset's kind. */
export function openDataset(
  settings: ParsedSettings,
): SimulatedData & { responses: Partial<Record<Endpoint, Responder>> } {
  const { entries: counts, setCount } = ledger<HourCount>(settings, () => []);
  const { entries: uses } = ledger<Use>(settings, () => []);
  return { ...recordStore(), counts, uses, setCount, ...simulatedKinds[settings.kind].open(settings) };
}

/** Returns the endpoint of a path `/v1.0/PREFIX/DATASET/NAME`, if the kind has it. */
export function endpointOf(kind: KindName, prefix: string, name: string): Endpoint | undefined {
  return simulatedKinds[kind].paths.find((path) => path[0] === prefix && path[1] === name)?.[1];
}
