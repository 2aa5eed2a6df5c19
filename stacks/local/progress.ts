// What a run has done so far, and how that is shown: bars on a terminal, plain lines elsewhere.
import type { MultiBar, SingleBar } from "cli-progress";
import type { LogFields } from "../../shared/logger.ts";
import type { QueueName } from "../../shared/topology.ts";

/** Counted by page, because a message may be delivered twice. */
export class Progress {
  readonly #runId: string;
  readonly #fetched = new Set<string>();
  readonly #transformed = new Set<string>();
  /** Announced pages, by window and attempt. */
  readonly #announced = new Map<string, number>();
  #expectedWindows = 1;
  retried = 0;
  assembled = false;
  queried = false;

  constructor(runId: string) {
    this.#runId = runId;
  }

  get fetched(): number {
    return this.#fetched.size;
  }
  get transformed(): number {
    return this.#transformed.size;
  }
  /** Pages; grows until the first page of each window is fetched. */
  get pages(): number {
    const unknownWindows = Math.max(this.#expectedWindows - this.#announced.size, 0);
    return [...this.#announced.values()].reduce((sum, pages) => sum + pages, unknownWindows);
  }

  /** Whether the first page of every window is fetched. */
  get allAnnounced(): boolean {
    return this.#announced.size >= this.#expectedWindows;
  }

  expectWindows(count: number): void {
    this.#expectedWindows = count;
  }

  /** @param fields what a service logs of a message that it handled */
  onHandled(queue: QueueName, fields: LogFields): void {
    // A window that is counted again at the end is no page.
    if (fields.run !== this.#runId || fields.recount !== undefined) return;
    const window = `${fields.window}/${fields.attempt}`;
    const page = `${window}/${fields.page}`;
    if (queue === "transformer") this.#transformed.add(page);
    if (queue !== "fetcher") return;
    this.#fetched.add(page);
    if (fields.page === 1) this.#announced.set(window, Math.max(Number(fields.totalPages), 1));
  }

  onRetried(messages: number): void {
    this.retried += messages;
  }
}

export type Display = { update(): void; stop(): void };

const stages = ["fetched", "transformed", "assembled", "queried"] as const;
type Stage = (typeof stages)[number];

type Counts = { done: number; of: number; unit: string; complete: boolean };

function countsOf(progress: Progress, stage: Stage): Counts {
  switch (stage) {
    case "fetched":
    case "transformed": {
      const done = progress[stage];
      const of = progress.pages;
      return { done, of, unit: "pages", complete: progress.allAnnounced && done >= of };
    }
    case "assembled":
    case "queried":
      return { done: progress[stage] ? 1 : 0, of: 1, unit: "file", complete: progress[stage] };
  }
}

/** One live bar a stage. */
export async function bars(progress: Progress, stream: NodeJS.WriteStream): Promise<Display> {
  const { MultiBar, Presets } = await import("cli-progress");
  const multi: MultiBar = new MultiBar(
    {
      stream,
      format: "  {stage} {bar} {value}/{total} {unit}  {left}",
      hideCursor: true,
      clearOnComplete: false,
      // main.ts handles Ctrl-C.
      gracefulExit: false,
      emptyOnZero: true,
    },
    Presets.shades_classic,
  );
  const startedAt = Date.now();
  const payload = (stage: Stage) => ({ stage: stage.padEnd(11), unit: countsOf(progress, stage).unit });
  const shown = new Map<Stage, SingleBar>(
    stages.map((stage) => [stage, multi.create(1, 0, { ...payload(stage), left: "" })]),
  );
  const update = (): void => {
    for (const [stage, bar] of shown) {
      const counts = countsOf(progress, stage);
      const { done, of } = counts;
      bar.setTotal(of);
      const left = timeLeft(counts, Date.now() - startedAt);
      bar.update(done, {
        ...payload(stage),
        left: stage === "fetched" ? `${left}${retries(progress)}` : left,
      });
    }
  };
  return {
    update,
    stop() {
      update();
      multi.stop();
    },
  };
}

function timeLeft({ done, of, complete }: Counts, elapsedMs: number): string {
  if (complete) return "done";
  if (done === 0) return "";
  return `${Math.ceil(((elapsedMs / done) * (of - done)) / 1000)} s left`;
}

function retries({ retried }: Progress): string {
  return retried === 0 ? "" : ` (${retried} ${retried === 1 ? "message" : "messages"} retried)`;
}

const linesEveryMs = 2_000;

/** A line when a stage is done, and one every two seconds while pages arrive. */
export function lines(progress: Progress, write: (line: string) => void): Display {
  const said = new Set<Stage>();
  let lastLine = Date.now();
  let retriesSaid = 0;
  const update = (): void => {
    for (const stage of stages) {
      const { done, unit, complete } = countsOf(progress, stage);
      if (!said.has(stage) && complete) {
        said.add(stage);
        write(`${stage}${unit === "pages" ? ` ${done} pages` : ""}`);
      }
    }
    if (progress.retried > retriesSaid && Date.now() - lastLine >= linesEveryMs) {
      retriesSaid = progress.retried;
      write(`retrying${retries(progress)}`);
    }
    if (!said.has("transformed") && Date.now() - lastLine >= linesEveryMs) {
      lastLine = Date.now();
      write(`fetched ${progress.fetched} and transformed ${progress.transformed} of ${progress.pages} pages`);
    }
  };
  return { update, stop: update };
}

export const silence: Display = { update() {}, stop() {} };
