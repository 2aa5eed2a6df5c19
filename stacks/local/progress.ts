// What a run has done so far, and how that is shown: bars on a terminal, plain lines elsewhere.
import type { MultiBar, SingleBar } from "cli-progress";
import type { LogFields } from "../../shared/logger.ts";
import { pageCount } from "../../shared/run.ts";
import { type QueueName, receiveLimit } from "../../shared/topology.ts";
import type { WindowProgress } from "../commands/runs/run-account.ts";
import type { Retry } from "./workers.ts";

/** The same note is not repeated for this time. */
const repeatMs = 30_000;
/** Notes that are remembered, and that wait to be shown. */
const maxNotes = 100;
/** A shorter delay is given in seconds, a longer one as a time of day. */
const longDelaySeconds = 60;

/** Counted by page, because a message may be delivered twice. */
export class Progress {
  readonly #runId: string;
  readonly #fetched = new Set<string>();
  readonly #transformed = new Set<string>();
  /** Announced pages, by window and attempt. */
  readonly #announced = new Map<string, number>();
  readonly #notedAt = new Map<string, number>();
  #notes: string[] = [];
  #expectedWindows = 1;
  #waitsUntil = 0;
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

  /** Counts what an earlier process did of the run. */
  resume(windows: readonly WindowProgress[]): void {
    this.expectWindows(windows.length);
    for (const { number, attempt, totals, pages, missing } of windows) {
      if (!totals) continue;
      const window = `${number}/${attempt}`;
      const all = pages + missing.length;
      this.#announced.set(window, all);
      for (let page = 1; page <= all; page++) {
        if (!missing.includes(page)) this.#transformed.add(`${window}/${page}`);
      }
    }
    for (const page of this.#transformed) this.#fetched.add(page);
  }

  /** @param fields what a service logs of a message that it handled */
  onHandled(queue: QueueName, fields: LogFields): void {
    // A window that is counted again at the end is no page.
    if (fields.run !== this.#runId || fields.recount !== undefined) return;
    this.#waitsUntil = 0;
    const window = `${fields.window}/${fields.attempt}`;
    const page = `${window}/${fields.page}`;
    if (queue === "transformer") this.#transformed.add(page);
    // An earlier process may have fetched what is transformed now.
    if (queue === "fetcher" || queue === "transformer") this.#fetched.add(page);
    if (queue === "fetcher" && fields.page === 1)
      this.#announced.set(window, pageCount({ totalPages: Number(fields.totalPages) }));
  }

  onRetry({ error, receives, delaySeconds }: Retry): void {
    this.retried += 1;
    const due = Date.now() + delaySeconds * 1_000;
    const isLong = delaySeconds >= longDelaySeconds;
    if (isLong) this.#waitsUntil = Math.max(this.#waitsUntil, due);
    const when = isLong ? `at ${timeOf(due)}` : `in ${delaySeconds} s`;
    const what = `${error.message.replace(/\.$/, "")}, retry ${receives} of ${receiveLimit - 1}`;
    this.note(`${what} ${when}`, what);
  }

  /** Until when the run waits, where a retry has a long delay and nothing else moves; empty where it does not. */
  get waiting(): string {
    return this.#waitsUntil > Date.now() ? `waiting until ${timeOf(this.#waitsUntil)}` : "";
  }

  /** Shows a line to the person at the terminal. @param key of notes that count as the same */
  note(line: string, key = line): void {
    const now = Date.now();
    if (now - (this.#notedAt.get(key) ?? 0) < repeatMs) return;
    if (this.#notedAt.size >= maxNotes) this.#notedAt.clear();
    this.#notedAt.set(key, now);
    this.#notes = [...this.#notes, line].slice(-maxNotes);
  }

  /** Returns the notes that were not shown yet. */
  takeNotes(): string[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }
}

/** Of this machine's clock. */
function timeOf(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
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

/** Wraps a line that is too long, which the bars turn off, and removes what stood below. */
const wrapped = (line: string) => `\u001b[?7h\u001b[J${line}\u001b[?7l\n`;

/** One live bar a stage, below the notes. @param stream a terminal */
export async function bars(progress: Progress, stream: NodeJS.WritableStream): Promise<Display> {
  // Node finds not every name among the exports of a CommonJS package.
  const { default: progressBars } = await import("cli-progress");
  const { MultiBar, Presets } = progressBars;
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
    for (const note of progress.takeNotes()) multi.log(wrapped(note));
    for (const [stage, bar] of shown) {
      const counts = countsOf(progress, stage);
      const { done, of } = counts;
      bar.setTotal(of);
      const left = progress.waiting || timeLeft(counts, Date.now() - startedAt);
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
      // Writes the last notes, which `stop` would not.
      multi.update();
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
/** A line that says what the one before says. */
const sameLineEveryMs = 30_000;

/** A line when a stage is done, one every two seconds while pages arrive, and the notes. */
export function lines(progress: Progress, write: (line: string) => void): Display {
  const said = new Set<Stage>();
  let lastLine = Date.now();
  let lastText = "";
  const update = (): void => {
    for (const note of progress.takeNotes()) write(note);
    for (const stage of stages) {
      const { done, unit, complete } = countsOf(progress, stage);
      if (!said.has(stage) && complete) {
        said.add(stage);
        write(`${stage}${unit === "pages" ? ` ${done} pages` : ""}`);
      }
    }
    if (said.has("transformed") || Date.now() - lastLine < linesEveryMs) return;
    const { fetched, transformed, pages, waiting } = progress;
    const text = `fetched ${fetched} and transformed ${transformed} of ${pages} pages${retries(progress)}${waiting && `, ${waiting}`}`;
    if (text === lastText && Date.now() - lastLine < sameLineEveryMs) return;
    lastLine = Date.now();
    lastText = text;
    write(text);
  };
  return { update, stop: update };
}

export const silence: Display = { update() {}, stop() {} };
