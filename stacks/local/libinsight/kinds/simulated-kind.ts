// What a kind of dataset is to the server. Each kind is a folder, and only kinds.ts knows all of them.
import type { SimulatedResponse } from "../simulated-responses.ts";
import type { ParsedSettings } from "../simulator-settings.ts";

/** `Endpoint` is the last name of a path. Faults select requests by it. */
export type SimulatedKind<Endpoint extends string, Data extends object> = {
  /** What the dataset contains, in the plural. */
  contents: string;
  /** `/v1.0/PREFIX/DATASET/ENDPOINT` */
  paths: readonly (readonly [prefix: string, endpoint: Endpoint])[];
  /** The names of the parameters, whose values may appear in the log. */
  parameters: readonly string[];
  /** Returns a request for the newest data. */
  example(settings: Pick<ParsedSettings, "lastDay" | "requestId">): {
    path: readonly [prefix: string, endpoint: Endpoint];
    parameters: Readonly<Record<string, string | number>>;
  };
  /** Generates the data. @returns what a test reads and changes, too */
  open(settings: ParsedSettings): { responses: Record<Endpoint, Responder> } & Data;
};

/** Returns the response to a request with a valid token. */
export type Responder = (parameters: URLSearchParams) => SimulatedResponse;
