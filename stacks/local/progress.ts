// Shows the progress of a run: bars on a terminal, plain lines elsewhere.
import type { MultiBar, SingleBar } from "cli-progress";
import type { LogFields } from "../../shared/logger.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type QueueName, receiveLimit } from "../../shared/topology.ts";
import type { WindowProgress } from "../commands/runs/run-account.ts";
import { fitted } from "../commands/text-table.ts";
import type { Retry } from "./workers.ts";

/** A note is not repeated within this time. */
const repeatMs = 30_000;
/** Limits the notes that are remembered, and those that wait to be shown. */
const maxNotes = 100;
/** A shorter delay is shown in seconds, a longer one as a time of day. */
const longDelaySeconds = 60;

/** Counts a run's pages. A page counts once, because its message may be delivered twice. */
export class Progress {
  readonly #runId: string;
  readonly #fetched = new Set<string>();
  readonly #transformed = new Set<string>();
  /** Attempts at windows, as `window/attempt`. */
  readonly #windows = new Set<string>();
  /** The number of pieces or pages of ranges that did not fit one page. */
  readonly #pieces = new Map<string, number>();
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
  /** The pages known so far, counting one for each range. */
  get pages(): number {
    const again = [...this.#windows].filter((window) => !window.endsWith("/1")).length;
    return [...this.#pieces.values()].reduce(
      (sum, pieces) => sum + pieces - 1,
      this.#expectedWindows + again,
    );
  }

  expectWindows(count: number): void {
    this.#expectedWindows = count;
  }

  /** Counts the pages of the run that an earlier process completed. */
  resume(windows: readonly WindowProgress[]): void {
    this.expectWindows(windows.length);
    for (const { number, attempt, pages, missing } of windows) {
      const window = `${number}/${attempt}`;
      this.#windows.add(window);
      this.#pieces.set(window, pages + missing.length);
      for (let page = 1; page <= pages; page++) this.#transformed.add(`${window}, earlier page ${page}`);
    }
    for (const page of this.#transformed) this.#fetched.add(page);
  }

  /** @param fields the log fields of a handled message */
  onHandled(queue: QueueName, fields: LogFields): void {
    // Recounts and searches at the end of a run fetch no page.
    if (fields.run !== this.#runId || fields.page === undefined) return;
    this.#waitsUntil = 0;
    const window = `${fields.window}/${fields.attempt}`;
    const range = `${window}/${fields.from}/${fields.to}`;
    const page = `${range}/${fields.page}`;
    if (queue === "fetcher" || queue === "transformer") this.#windows.add(window);
    const { pieces } = fields;
    if (queue === "fetcher" && typeof pieces === "number" && pieces > 0) this.#pieces.set(range, pieces);
    // A range of several days that did not fit one page has no part.
    const isSplit = pieces !== undefined && fields.from !== fields.to;
    if (queue === "transformer") this.#transformed.add(page);
    // An earlier process may have fetched a page that is transformed now.
    if ((queue === "fetcher" && !isSplit) || queue === "transformer") this.#fetched.add(page);
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

  /** When the run continues, if a retry has a long delay and nothing else has been handled since; otherwise empty. */
  get waiting(): string {
    return this.#waitsUntil > Date.now() ? `waiting until ${timeOf(this.#waitsUntil)}` : "";
  }

  /** Adds a line for the person at the terminal. @param key identifies notes that count as repetitions */
  note(line: string, key = line): void {
    const now = Date.now();
    if (now - (this.#notedAt.get(key) ?? 0) < repeatMs) return;
    if (this.#notedAt.size >= maxNotes) this.#notedAt.clear();
    this.#notedAt.set(key, now);
    this.#notes = [...this.#notes, line].slice(-maxNotes);
  }

  /** Returns the notes that have not been shown. */
  takeNotes(): string[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }
}

/** Returns the time of day on this machine's clock. */
function timeOf(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}

export type Display = { update(): void; stop(): void };

const stages = ["fetched", "transformed", "assembled", "queried"] as const;
type Stage = (typeof stages)[number];

type Counts = { done: number; of: number; unit: "page" | "file"; complete: boolean };

function countsOf(progress: Progress, stage: Stage): Counts {
  switch (stage) {
    case "fetched":
    case "transformed": {
      const done = progress[stage];
      const of = progress.pages;
      return { done, of, unit: "page", complete: progress.fetched >= of && done >= of };
    }
    case "assembled":
    case "queried":
      return { done: progress[stage] ? 1 : 0, of: 1, unit: "file", complete: progress[stage] };
  }
}

/** The width of a bar's line without the bar, for 9,999 pages. */
const besideBar = 60;
const barWidth = { least: 10, most: 40 };

/** Shows one live bar per stage, below the notes. @param stream a terminal */
export async function barDisplay(
  progress: Progress,
  stream: NodeJS.WritableStream & { columns?: number },
): Promise<Display> {
  // Node does not find every name among the exports of a CommonJS package.
  const { default: progressBars } = await import("cli-progress");
  const { MultiBar, Presets } = progressBars;
  const columns = stream.columns || 80;
  const multi: MultiBar = new MultiBar(
    {
      stream,
      format: "  {stage} {bar} {done}  {left}",
      barsize: Math.min(Math.max(columns - besideBar, barWidth.least), barWidth.most),
      hideCursor: true,
      clearOnComplete: false,
      // A note erases the bars below it, which would stay hidden until they change.
      forceRedraw: true,
      // main.ts handles Ctrl-C.
      gracefulExit: false,
      emptyOnZero: true,
    },
    Presets.shades_classic,
  );
  // The bars turn off the terminal's line wrapping. A command in a note may be longer than a line.
  const log = (note: string) => multi.log(`\u001b[?7h\u001b[J${fitted(note, columns)}\u001b[?7l\n`);
  const startedAt = Date.now();
  const payload = (stage: Stage) => {
    const counts = countsOf(progress, stage);
    const left = progress.waiting || timeLeft(counts, Date.now() - startedAt);
    return {
      stage: stage.padEnd(11),
      done: `${count(counts.done)}/${quantity(counts.of, counts.unit)}`.padEnd(13),
      left: stage === "fetched" ? [left, retries(progress)].filter(Boolean).join(", ") : left,
    };
  };
  const shown = new Map<Stage, SingleBar>(stages.map((stage) => [stage, multi.create(1, 0, payload(stage))]));
  const update = (): void => {
    for (const note of progress.takeNotes()) log(note);
    for (const [stage, bar] of shown) {
      const { done, of } = countsOf(progress, stage);
      bar.setTotal(of);
      bar.update(done, payload(stage));
    }
  };
  return {
    update,
    stop() {
      update();
      // `stop` does not write the last notes; `update` does.
      multi.update();
      multi.stop();
    },
  };
}

function timeLeft({ done, of, complete }: Counts, elapsedMs: number): string {
  if (complete) return "done";
  if (done === 0) return "";
  const seconds = Math.ceil(((elapsedMs / done) * (of - done)) / 1000);
  return seconds < 120 ? `${seconds} s left` : `${count(Math.ceil(seconds / 60))} min left`;
}

function retries({ retried }: Progress): string {
  return retried === 0 ? "" : `${count(retried)} ${retried === 1 ? "retry" : "retries"}`;
}

const linesEveryMs = 2_000;
/** How often the same line is repeated. */
const sameLineEveryMs = 30_000;

/** Writes a line when a stage is done, one every two seconds while pages arrive, and the notes. */
export function lineDisplay(progress: Progress, write: (line: string) => void): Display {
  const said = new Set<Stage>();
  let lastLine = Date.now();
  let lastText = "";
  const update = (): void => {
    for (const note of progress.takeNotes()) write(note);
    for (const stage of stages) {
      const { done, unit, complete } = countsOf(progress, stage);
      if (!said.has(stage) && complete) {
        said.add(stage);
        write(unit === "page" ? `${stage} ${quantity(done, unit)}` : stage);
      }
    }
    if (said.has("transformed") || Date.now() - lastLine < linesEveryMs) return;
    const { fetched, transformed, pages, waiting } = progress;
    const counts = `fetched ${count(fetched)} and transformed ${count(transformed)} of ${quantity(pages, "page")}`;
    const text = [counts, retries(progress), waiting].filter(Boolean).join(", ");
    if (text === lastText && Date.now() - lastLine < sameLineEveryMs) return;
    lastLine = Date.now();
    lastText = text;
    write(text);
  };
  return { update, stop: update };
}

export const silentDisplay: Display = { update() {}, stop() {} };
