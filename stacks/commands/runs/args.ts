// The command line of `npm run runs`.
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { isoDate } from "../../../shared/forms.ts";
import { UsageError } from "../../local/args.ts";
import { countOf, datasetOf, durationOf, readFlags, reasonOf, requireAnswerable } from "../command-line.ts";

export const usage = `npm run runs -- list [--max N] | show RUN | resume RUN | publish RUN --force --reason TEXT
           | rollback RUN [--reason TEXT] [--yes] [--dry-run]
           | request [--dataset NAME] [--from DATE] [--to DATE] [--reason TEXT] [--force REASON]
           [--stalled-after D] [--finish] [--json]

  list               runs of the last 30 days: state, pages, rows, dead letters
  show RUN           one of them, with every count, what is missing, and what to do next
  resume RUN         sends once more what is missing
  publish RUN        publishes a run that the guard holds; the reason is recorded in its result
  rollback RUN       puts back the files that RUN published; Athena follows by itself
  request            asks for a run, and prints its id

  --dataset NAME     one of: ${datasets.map(({ name }) => name).join(", ")} (default ${defaultDataset.name})
  --from, --to DATE  days, YYYY-MM-DD (default: all of the dataset, up to yesterday)
  --reason TEXT      why
  --force REASON     request: publish whatever the guard says
  --stalled-after D  a run that did nothing for so long has stalled: 90s, 30m, 2h (default 15m)
  --max N            list: the newest N (default 20)
  --dry-run          rollback: tell what would be done, and do nothing
  --yes              rollback: do not ask
  --finish           on this machine: let the services work until every queue is empty
  --json             print JSON

Works on what npm start keeps in .local, or on a stage: npx sst shell --stage STAGE -- npm run runs -- list
`;

type Common = { stalledAfterSeconds: number; finish: boolean; json: boolean };
export type RollbackCommand = {
  verb: "rollback";
  runId: string;
  reason: string | undefined;
  dryRun: boolean;
  yes: boolean;
};
export type Command = Common &
  (
    | { verb: "list"; max: number }
    | { verb: "show" | "resume"; runId: string }
    | { verb: "publish"; runId: string; reason: string }
    | RollbackCommand
    | {
        verb: "request";
        request: { dataset: string; from?: string; to?: string; reason: string; force?: string };
      }
  );

const common = {
  "stalled-after": { type: "string" },
  finish: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h" },
} as const;
const text = { type: "string" } as const;

/** @returns "help" where that was asked for. @throws UsageError with one sentence */
export function parse(args: readonly string[]): Command | "help" {
  const [verb, ...rest] = args;
  switch (verb) {
    case "--help":
    case "-h":
      return "help";
    case "list": {
      const { values, positionals } = readFlags(rest, { ...common, max: text });
      if (positionals.length > 0) throw new UsageError("list takes no run; show does.");
      if (values.help) return "help";
      return { verb, max: countOf("--max", values.max, 20, 1_000), ...commonOf(values) };
    }
    case "show":
    case "resume": {
      const { values, positionals } = readFlags(rest, common);
      if (values.help) return "help";
      return { verb, runId: runOf(verb, positionals), ...commonOf(values) };
    }
    case "publish": {
      const { values, positionals } = readFlags(rest, {
        ...common,
        force: { type: "boolean" },
        reason: text,
      });
      if (values.help) return "help";
      const runId = runOf(verb, positionals);
      if (!values.force) throw new UsageError("publish goes against the guard; say so with --force.");
      const reason = reasonOf("--reason", values.reason);
      if (reason === undefined)
        throw new UsageError("publish takes --reason TEXT: why the run is right after all.");
      return { verb, runId, reason, ...commonOf(values) };
    }
    case "rollback": {
      const { values, positionals } = readFlags(rest, {
        ...common,
        reason: text,
        "dry-run": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
      });
      if (values.help) return "help";
      const { yes, "dry-run": dryRun } = values;
      const runId = runOf(verb, positionals);
      const reason = reasonOf("--reason", values.reason);
      requireAnswerable(verb, { yes, dryRun });
      return { verb, runId, reason, dryRun, yes, ...commonOf(values) };
    }
    case "request": {
      const flags = { ...common, dataset: text, from: text, to: text, reason: text, force: text };
      const { values, positionals } = readFlags(rest, flags);
      if (values.help) return "help";
      if (positionals.length > 0) throw new UsageError("request takes no run; its id is made and printed.");
      const { from, to } = { from: dateOf("--from", values.from), to: dateOf("--to", values.to) };
      if (from && to && from > to) throw new UsageError(`--from ${from} is after --to ${to}; swap them.`);
      const force = reasonOf("--force", values.force);
      const request = {
        dataset: datasetOf(values.dataset).name,
        ...(from && { from }),
        ...(to && { to }),
        reason: reasonOf("--reason", values.reason) ?? "requested by hand",
        ...(force && { force }),
      };
      return { verb, request, ...commonOf(values) };
    }
    default:
      throw new UsageError("Say one of list, show, resume, publish, rollback and request.");
  }
}

function commonOf(values: { "stalled-after"?: string | undefined; finish: boolean; json: boolean }): Common {
  return {
    finish: values.finish,
    stalledAfterSeconds: durationOf("--stalled-after", values["stalled-after"]) ?? 15 * 60,
    json: values.json,
  };
}

function runOf(verb: string, [runId, ...more]: string[]): string {
  if (runId !== undefined && more.length === 0 && /^[a-z][a-z0-9-]{1,63}$/.test(runId)) return runId;
  throw new UsageError(`${verb} takes the id of one run, as list tells it.`);
}

function dateOf(flag: string, date: string | undefined): string | undefined {
  if (date === undefined) return undefined;
  const parsed = isoDate.safeParse(date);
  if (parsed.success) return parsed.data;
  throw new UsageError(`${flag} ${date} can't be used: ${parsed.error.issues[0]?.message}.`);
}
