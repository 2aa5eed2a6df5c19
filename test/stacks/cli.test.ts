// Every command line in this process: accepted values, usage errors with their exit code and output, and the help.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { type CommandLine, execute, UsageError } from "../../stacks/cli.ts";
import { cases } from "../bench/cases.ts";
import { undisturbed } from "../chaos/fault-plan.ts";
import { commandLines, startLine } from "../support/command-lines.ts";

const now = new Date("2026-01-05T12:00:00Z");
const start = startLine(now);
const { dictionary, instances, replay, runs } = commandLines;
const lines: Record<string, CommandLine<unknown>> = { start, ...commandLines };
const verbs: Record<string, string[]> = {
  runs: ["list", "show", "follow", "resume", "publish", "rollback", "request"],
  replay: ["list", "show", "send", "archive"],
  instances: ["status", "start", "stop"],
  tableau: ["datasource"],
  privacy: ["public", "rotate", "names", "forget"],
};

const run = "reference-transactions-1a2b3c4d5e6f";
const onRuns = { stalledAfterSeconds: 900, wait: false, json: false };
const onDeadLetters = { max: 1_000, wait: false, json: false };
const oneQueue = { queue: undefined, run: undefined, error: undefined, olderThanSeconds: undefined };

const day = fc
  .date({ min: new Date("2000-01-01"), max: new Date("2026-01-04"), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));

const renaming = (...renames: string[]) => renames.flatMap((rename) => ["--rename", rename]);

describe("npm start", () => {
  test("collects all of the default dataset from a simulation of 10,300 records", () => {
    expect(start.parse([])).toEqual({
      dataset: defaultDataset,
      from: defaultDataset.firstDate,
      to: "2026-01-04",
      datesGiven: false,
      full: false,
      out: ".local/out",
      simulation: {
        records: 10_300,
        lastDay: "2026-01-04",
        latencyMs: 20,
        renames: [],
        faultSeed: undefined,
      },
      simulationFlags: [],
      json: false,
      quiet: false,
    });
  });

  test("ends yesterday in the dataset's time zone, not in UTC", () => {
    expect(startLine(new Date("2026-01-05T03:00:00Z")).parse([])).toMatchObject({ to: "2026-01-03" });
  });

  test("refuses a date after today in the dataset's time zone", () => {
    // It is still January 4 in New York.
    const at = new Date("2026-01-05T04:59:00Z");
    const parse = (...args: string[]) => startLine(at).parse(args);
    const refused = (flag: string, date: string) =>
      expect.objectContaining({
        name: "UsageError",
        message: `${flag} ${date} is in the future: today is 2026-01-04 in America/New_York.`,
      });
    expect(parse("--from", "2026-01-04", "--to", "2026-01-04")).toMatchObject({ to: "2026-01-04" });
    expect(() => parse("--to", "2026-01-05")).toThrow(refused("--to", "2026-01-05"));
    expect(() => parse("--from", "2027-01-01", "--to", "2027-01-02")).toThrow(
      refused("--from", "2027-01-01"),
    );
    expect(() => parse("--from", "2020-01-01", "--to", "9999-12-31")).toThrow(refused("--to", "9999-12-31"));
  });

  test("sets every flag and lists those of the simulation", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...datasets.flatMap(({ name, libinsightId }) => [name, String(libinsightId)])),
        fc.tuple(day, day).map((days) => days.toSorted()),
        fc.string({ minLength: 1 }).filter((out) => !out.startsWith("-")),
        fc.nat(2_000_000),
        fc.nat(60_000),
        fc.nat(999_999_999),
        fc.boolean(),
        fc.boolean(),
        (dataset, [from = "", to = ""], out, records, latency, seed, asJson, full) => {
          const flags = { dataset, from, to, out, records, latency, faults: seed, rename: "mode=x" };
          const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
          expect(start.parse([...args, asJson ? "--json" : "--quiet", ...(full ? ["--full"] : [])])).toEqual({
            dataset: datasets.find(({ name, libinsightId }) =>
              [name, String(libinsightId)].includes(dataset),
            ),
            from,
            to,
            datesGiven: true,
            full,
            out,
            simulation: {
              records,
              lastDay: "2026-01-04",
              latencyMs: latency,
              renames: [{ field: "mode", label: "x" }],
              faultSeed: seed,
            },
            simulationFlags: ["--records", "--latency", "--rename", "--faults"],
            json: asJson,
            quiet: !asJson,
          });
        },
      ),
    );
  });

  test("--rename is repeatable, and its label is everything after the first =", () => {
    expect(start.parse(renaming("mode=who", "who=mode", "studio== a=b "))).toMatchObject({
      simulation: {
        renames: [
          { field: "mode", label: "who" },
          { field: "who", label: "mode" },
          { field: "studio", label: "= a=b " },
        ],
      },
    });
  });

  test.each(["--from", "--to"])("%s alone counts as a given date", (flag) => {
    expect(start.parse([flag, "2024-05-01"])).toMatchObject({ datesGiven: true });
  });
});

/** Splits a command as it is typed after `npm run`, with single quotes. */
function typedCommand(typed: string) {
  const [name = "", ...args] = [...typed.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word);
  return { name, args, line: lines[name] ?? start };
}

function parse(typed: string): unknown {
  const { line, args } = typedCommand(typed);
  return line.parse(args);
}

test.each<[string, unknown]>([
  ["runs list", { verb: "list", max: 20, ...onRuns }],
  ["runs list --max 5 --json", { verb: "list", max: 5, ...onRuns, json: true }],
  ["runs --json list", { verb: "list", max: 20, ...onRuns, json: true }],
  [`runs show ${run} --stalled-after 2h`, { verb: "show", runId: run, ...onRuns, stalledAfterSeconds: 7200 }],
  [`runs resume ${run} --wait`, { verb: "resume", runId: run, ...onRuns, wait: true }],
  [
    `runs publish ${run} --force --reason ok --yes`,
    { verb: "publish", runId: run, reason: "ok", rows: undefined, dryRun: false, yes: true, ...onRuns },
  ],
  [
    `runs publish ${run} --force --reason ok --rows 0`,
    { verb: "publish", runId: run, reason: "ok", rows: 0, dryRun: false, yes: false, ...onRuns },
  ],
  [
    `runs publish ${run} --force --reason ok --dry-run`,
    { verb: "publish", runId: run, reason: "ok", rows: undefined, dryRun: true, yes: false, ...onRuns },
  ],
  [
    `runs rollback ${run} --yes`,
    { verb: "rollback", runId: run, reason: undefined, dryRun: false, yes: true, ...onRuns },
  ],
  [
    `runs rollback ${run} --dry-run --reason 'half is missing'`,
    { verb: "rollback", runId: run, reason: "half is missing", dryRun: true, yes: false, ...onRuns },
  ],
  [
    "runs request",
    { verb: "request", request: { dataset: defaultDataset.name, reason: "requested by hand" }, ...onRuns },
  ],
  [
    "runs request --from 2024-01-01 --to 2024-01-01 --reason 'a gap' --skip-comparison --full",
    {
      verb: "request",
      request: {
        dataset: defaultDataset.name,
        from: "2024-01-01",
        to: "2024-01-01",
        reason: "a gap",
        skipComparison: "a gap",
        full: true,
      },
      ...onRuns,
    },
  ],
  ["replay list", { verb: "list", filter: oneQueue, ...onDeadLetters }],
  [
    `replay --json show --queue ec2 --run ${run} --error Timeout --older-than 90s --max 9`,
    {
      verb: "show",
      filter: { queue: "ec2", run, error: "Timeout", olderThanSeconds: 90 },
      ...onDeadLetters,
      max: 9,
      json: true,
    },
  ],
  ["replay send --dry-run", { verb: "send", filter: oneQueue, ...onDeadLetters, dryRun: true, yes: false }],
  ["replay redrive --yes", { verb: "send", filter: oneQueue, ...onDeadLetters, dryRun: false, yes: true }],
  [
    "replay archive --yes --wait",
    { verb: "archive", filter: oneQueue, ...onDeadLetters, dryRun: false, yes: true, wait: true },
  ],
  ["instances status", { verb: "status", instanceId: undefined, wait: false, json: false }],
  [
    "instances start --instance i-0123456789abcdef0 --json",
    {
      verb: "start",
      instanceId: "i-0123456789abcdef0",
      reason: "requested by hand",
      wait: false,
      json: true,
    },
  ],
  [
    "instances stop --reason 'too long' --wait",
    { verb: "stop", instanceId: undefined, reason: "too long", wait: true, json: false },
  ],
  [
    "tableau datasource",
    { dataset: defaultDataset, out: `.local/out/${defaultDataset.name}.tds`, given: {} },
  ],
  [
    "tableau datasource --out a.tds --region eu-west-1 --database d_1 --workgroup a.B-c",
    {
      dataset: defaultDataset,
      out: "a.tds",
      given: { region: "eu-west-1", database: "d_1", workgroup: "a.B-c" },
    },
  ],
  [
    "tableau datasource --staging s3://bucket/",
    expect.objectContaining({ given: { staging: "s3://bucket/" } }),
  ],
  [
    "stats --survey acrl-2022",
    {
      survey: expect.objectContaining({ name: "acrl-2022" }),
      dataset: defaultDataset,
      fiscalYear: undefined,
      format: "text",
      out: undefined,
      ids: undefined,
    },
  ],
  [
    "stats --survey arl-2013 --fiscal-year 2024 --format csv --out a/b.csv",
    expect.objectContaining({ fiscalYear: 2024, format: "csv", out: "a/b.csv" }),
  ],
  ["stats --survey arl-2013 --ids unanswered", expect.objectContaining({ ids: "unanswered" })],
  [
    "privacy public --dimensions location,month",
    {
      verb: "public",
      dataset: defaultDataset,
      dimensions: [
        expect.objectContaining({ name: "location", header: "Location" }),
        expect.objectContaining({ name: "month", header: "_start_date" }),
      ],
      k: 10,
      out: `.local/out/${defaultDataset.name}-public.csv`,
      wait: false,
      json: false,
    },
  ],
  [
    "privacy public --dimensions 'Question Type, hour' --k 5 --out a.csv --json",
    expect.objectContaining({
      dimensions: [
        expect.objectContaining({ name: "Question Type" }),
        expect.objectContaining({ name: "hour" }),
      ],
      k: 5,
      out: "a.csv",
      json: true,
    }),
  ],
  ["privacy rotate --yes", { verb: "rotate", dryRun: false, yes: true, wait: false, json: false }],
  ["privacy rotate --dry-run", expect.objectContaining({ dryRun: true, yes: false })],
  [
    "privacy names staff.txt",
    { verb: "names", file: "staff.txt", dataset: defaultDataset, wait: false, json: false },
  ],
  [
    "privacy forget --ids '7, 8' --ids-file ids.txt --before 2024-01-01 --dry-run --json",
    {
      verb: "forget",
      dataset: defaultDataset,
      ids: [7, 8],
      idsFile: "ids.txt",
      before: "2024-01-01",
      dryRun: true,
      yes: false,
      wait: false,
      json: true,
    },
  ],
  [
    "privacy forget --before 2024-01-01 --yes",
    expect.objectContaining({ ids: [], before: "2024-01-01", dryRun: false, yes: true }),
  ],
  ["dictionary", { chosen: datasets, out: "docs/dictionary.md" }],
  [
    `dictionary --dataset ${defaultDataset.libinsightId}`,
    { chosen: [defaultDataset], out: `docs/dictionary-${defaultDataset.name}.md` },
  ],
  ["dictionary --out a/b.md", { chosen: datasets, out: "a/b.md" }],
  ["libinsight", { seed: 1, records: 10_300, latencyMs: 0, pageSize: 100, tokenSeconds: 3_600, renames: [] }],
  [
    "libinsight --port 0 --rename mode=who --rename who=mode --fault hang --page-size 7",
    expect.objectContaining({
      port: 0,
      pageSize: 7,
      renames: [
        { field: "mode", label: "who" },
        { field: "who", label: "mode" },
      ],
      faults: [{ kind: "hang", where: {}, times: 1 }],
    }),
  ],
  [
    "libinsight --fault rate-limited,retry-after=2,endpoint=data-grid,page=3,times=2 --fault status,status=503",
    expect.objectContaining({
      faults: [
        { kind: "rate-limited", retryAfter: 2, where: { endpoint: "data-grid", page: 3 }, times: 2 },
        { kind: "status", status: 503, where: {}, times: 1 },
      ],
    }),
  ],
  ["chaos --plans 9 --seed -3", { plans: 9, seed: -3, path: undefined, plan: undefined }],
  [
    `chaos --plan '${JSON.stringify(undisturbed)}'`,
    { plans: 100, seed: 1, path: undefined, plan: undisturbed },
  ],
  [
    "mutation --changed --minutes 0.5",
    { files: [], changed: true, base: undefined, minutes: 0.5, concurrency: undefined },
  ],
  [
    "mutation shared/csv.ts shared/keys.ts",
    expect.objectContaining({ files: ["shared/csv.ts", "shared/keys.ts"] }),
  ],
  ["bench", { only: Object.keys(cases), json: undefined }],
  ["bench --only transform --json a.json", { only: ["transform"], json: "a.json" }],
])("%s", (typed, command) => {
  expect(parse(typed)).toEqual(command);
});

const option = (flags: string, value: string) => `Option '${flags}' argument '${value}' is invalid. `;

test.each<[string, string | RegExp]>([
  ["start --fast", /^Unknown option '--fast'\./],
  ["start --form 2024-01-01", "Unknown option '--form'. Did you mean --from?"],
  ["start stray", "Too many arguments. Expected 0 arguments but got 1: stray."],
  ["start --out", "Option '--out <dir>' argument missing."],
  ["start --out --json", `${option("--out <dir>", "--json")}Use text that does not start with a dash.`],
  ["start --from 2024-02-01 --to 2024-01-01", "--from 2024-02-01 is after --to 2024-01-01. Swap them."],
  ["start --to 2020-01-01", /^--from \d{4}-\d\d-\d\d is after --to 2020-01-01\. Swap them\.$/],
  ["start --to 2023-02-30", /^Option '--to <date>' argument '2023-02-30' is invalid\. .*calendar\.$/],
  ["start --from 1.5.2024", /^Option '--from <date>' argument '1\.5\.2024' is invalid\. .*YYYY-MM-DD\.$/],
  ["start --dataset gates", /^Option '--dataset <name>' .* no dataset "gates".*reference-transactions/],
  ["start --records many", `${option("--records <n>", "many")}Use a whole number from 0 to 2,000,000.`],
  ["start --latency -5", `${option("--latency <ms>", "-5")}Use a whole number from 0 to 60,000.`],
  ["start --faults 1e3", `${option("--faults <seed>", "1e3")}Use a whole number from 0 to 999,999,999.`],
  ["start --rename mode", /^--rename is invalid: FIELD=LABEL is expected/],
  ["start --rename Mode=x", /^--rename is invalid: there is no field "Mode"; the form has Question Type, /],
  ["start --rename _id=x", /^--rename is invalid: there is no field "_id"/],
  ["start --rename =x", /^--rename is invalid: there is no field ""/],
  ["start --rename mode=", /^--rename is invalid: the new label is empty/],
  ["start --rename 'mode= \t'", /^--rename is invalid: the new label is empty/],
  ["start --rename mode=who", /^--rename is invalid: two fields would have the label "who"/],
  ["start --rename mode=_start_date", /^--rename is invalid: two fields would have the label "_start_date"/],
  ["start --rename mode=x --rename who=x", /^--rename is invalid: two fields would have the label "x"/],
  ["start --rename mode=x --rename mode=y", '--rename is invalid: the field "mode" is renamed twice.'],
  ["libinsight --records 2000001", /^Option '--records <n>' argument '2000001' is invalid\. .*2000000/],
  ["libinsight --port 70000", /^Option '--port <n>' argument '70000' is invalid\. .*65535/],
  ["libinsight --rename mode", /^--rename is invalid: .*FIELD=LABEL/],
  ["libinsight --fault sulk", /^Option '--fault <fault>' argument 'sulk' is invalid\. Kind: /],
  ["libinsight --fault hang,mood=bad", /^Option '--fault <fault>' .* is invalid\. .*"mood"/],
  ["libinsight --fault hang,page=x", /^Option '--fault <fault>' .* is invalid\. Where: page: /],
  ["runs", "Add a command: list, show, follow, trace, resume, publish, rollback, request."],
  ["runs --json", "Add a command: list, show, follow, trace, resume, publish, rollback, request."],
  [`runs shwo ${run}`, "Unknown command 'shwo'. Did you mean show?"],
  [`runs list ${run}`, `Too many arguments for 'list'. Expected 0 arguments but got 1: ${run}.`],
  ["runs list --max 0", `${option("--max <n>", "0")}Use a whole number from 1 to 1,000.`],
  ["runs show", "Missing required argument 'run'."],
  ["runs show ../run", /^.* value '\.\.\/run' is invalid .*\. Use a run ID \(see `list`\)\.$/],
  [
    `runs show ${run} --stalled-after soon`,
    /^Option '--stalled-after <time>' .* such as 90s, 30m, 2h or 3d\.$/,
  ],
  [`runs publish ${run} --reason why`, "Required option '--force' not specified."],
  [`runs publish ${run} --force`, "Required option '--reason <text>' not specified."],
  [
    `runs publish ${run} --force --reason ok`,
    "publish needs a terminal to ask for confirmation. Add --rows with the run's rows (see `show`), or --dry-run to preview.",
  ],
  [
    `runs publish ${run} --force --reason ok --rows some`,
    /^Option '--rows <n>' argument 'some' is invalid\./,
  ],
  ["runs rollback --yes", "Missing required argument 'run'."],
  [`runs rollback ${run}`, /^rollback needs a terminal .* Add --yes .* or --dry-run to preview\.$/],
  ["runs request --from 2024-02-02 --to 2024-02-01", /is after --to 2024-02-01\. Swap them\.$/],
  [
    "runs request --to 2999-01-01",
    /^--to 2999-01-01 is in the future: today is \d{4}-\d\d-\d\d in America\/New_York\.$/,
  ],
  ["runs request --from 2999-01-01", /^--from 2999-01-01 is in the future: /],
  ["runs request --reason ' '", /^Option '--reason <text>' .* Use 1 to 500 characters/],
  ["runs request --skip-comparison", "--skip-comparison requires --reason."],
  ["replay", "Add a command: list, show, send, archive."],
  ["replay list more", "Too many arguments for 'list'. Expected 0 arguments but got 1: more."],
  ["replay list --queue nowhere", /^Option '--queue <name>' .* Allowed choices are kickoff, fetcher, /],
  ["replay list --older-than 3w", /^Option '--older-than <time>' argument '3w' is invalid\./],
  ["replay send --max 10001 --yes", /^Option '--max <n>' .* from 1 to 10,000\.$/],
  ["replay send", /^send needs a terminal /],
  ["replay redrive", /^send needs a terminal /],
  ["replay archive", /^archive needs a terminal /],
  ["replay list --yes", "Unknown option '--yes'."],
  ["instances status --reason why", /^Unknown option '--reason'\./],
  ["instances start stop", "Too many arguments for 'start'. Expected 0 arguments but got 1: stop."],
  ["instances stop --instance ../team", /^Option '--instance <id>' .* Use an ID such as i-/],
  ["tableau", "Add a command: datasource."],
  ["tableau datasource --region Virginia", /^Option '--region <region>' .* a region such as us-east-1\.$/],
  ["tableau datasource --database 'a;b'", /^Option '--database <name>' /],
  ["tableau datasource --workgroup 'a b'", /^Option '--workgroup <name>' /],
  [
    "tableau datasource --staging s3://bucket/folder",
    /^Option '--staging <folder>' .* s3:\/\/bucket\/tableau\/\.$/,
  ],
  ["stats", "Required option '--survey <name>' not specified."],
  [
    "stats --survey acrl",
    "Option '--survey <name>' argument 'acrl' is invalid. Use one of acrl-2015, acrl-2022, arl-2013, niso-z39.7-2013.",
  ],
  [
    "stats --survey arl-2013 --ids consultations",
    'arl-2013 has no line "consultations" for --ids. Use one of reference-transactions, excluded, unanswered.',
  ],
  [
    "stats --survey arl-2013 --ids excluded --out a.csv",
    /^Option '--ids <line>' cannot be used with option '--out <file>'/,
  ],
  ["stats --survey arl-2013 --fiscal-year 24", /Use a whole number from 1,900 to 9,998\.$/],
  ["stats --survey arl-2013 --format xml", /Allowed choices are text, csv\.$/],
  ["privacy", "Add a command: public, rotate, names, forget."],
  ["privacy forget", "forget needs --ids, --ids-file or --before."],
  ["privacy forget --ids 1", /^forget needs a terminal to ask for confirmation\./],
  ["privacy forget --ids 1,x --yes", /Use the _id of each record, separated by commas\.$/],
  ["privacy forget --ids 9007199254740993 --yes", /Use the _id of each record, separated by commas\.$/],
  ["privacy forget --before 2024-02-30 --yes", /calendar\.$/],
  ["privacy public", "Required option '--dimensions <names>' not specified."],
  ["privacy public --dimensions mode,,who", /Use 1 to 4 different names, separated by commas\.$/],
  ["privacy public --dimensions mode,mode", /Use 1 to 4 different names, separated by commas\.$/],
  ["privacy public --dimensions a,b,c,d,e", /Use 1 to 4 different names, separated by commas\.$/],
  [
    "privacy public --dimensions answeredBy",
    /^Cannot count by "answeredBy": reference-transactions does not keep /,
  ],
  ["privacy public --dimensions mode --k 1", /Use a whole number from 2 to 1,000\.$/],
  ["privacy rotate", /^rotate needs a terminal to ask for confirmation\./],
  ["privacy names", "Missing required argument 'file'."],
  ["dictionary --json", /^Unknown option '--json'\./],
  ["chaos --plans 0", `${option("--plans <n>", "0")}Use a whole number from 1 to 1,000,000.`],
  ["chaos --seed x", /^Option '--seed <n>' argument 'x' is invalid\./],
  ["chaos --plan '{}'", `${option("--plan <json>", "{}")}Copy a plan from the report of a failure.`],
  ["chaos --plan '{'", `${option("--plan <json>", "{")}Copy a plan from the report of a failure.`],
  ["mutation README.md", "These files are not domain code: README.md."],
  ["mutation --changed shared/csv.ts", "Give files or --changed, not both."],
  ["mutation --minutes 0", /^Option '--minutes <n>' argument '0' is invalid\./],
  ["bench --only speed", `${option("--only <case,...>", "speed")}There is no case "speed".`],
])("%s is a usage error", async (typed, message) => {
  const { line, args, name } = typedCommand(typed);
  const act = async () => expect.unreachable();
  const { exitCode, stdout, stderr } = await execute(line, args, {}, act);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  const [sentence, hint, ...more] = stderr.split("\n");
  expect(sentence).toEqual(message instanceof RegExp ? expect.stringMatching(message) : message);
  expect(more).toEqual([""]);
  const verb =
    (verbs[name] ?? []).find((word) => args[0] === word) ?? (args[0] === "redrive" ? "send" : undefined);
  const program = name === "start" ? "npm start --" : `npm run ${name} --`;
  expect(hint).toBe(`Run "${[program, verb ?? [], "--help"].flat().join(" ")}".`);
});

test("a failure is its sentence, and an unexpected error only its name, because its text may quote data", async () => {
  const end = (error: unknown) =>
    execute(dictionary, [], {}, async () => {
      throw error;
    });
  const known = new PipelineError("Known", { message: "It failed.", advice: "Fix it.", ids: { run: "a" } });
  expect(await end(known)).toEqual({ exitCode: 1, stdout: "", stderr: "It failed. Fix it. (run a)\n" });
  const unknown = await end(new RangeError("MARKED"));
  expect(unknown).toMatchObject({ exitCode: 1, stdout: "" });
  expect(unknown.stderr).toMatch(/^The command failed \(RangeError\)\. [^\n]*\n$/);
  expect(unknown.stderr).not.toContain("MARKED");
});

test("a duration is a number of seconds, minutes, hours or days", () => {
  const units = { s: 1, m: 60, h: 3_600, d: 86_400 };
  fc.assert(
    fc.property(fc.nat(999_999), fc.constantFrom("s", "m", "h", "d"), (count, unit) => {
      expect(replay.parse(["list", "--older-than", `${count}${unit}`])).toMatchObject({
        filter: { olderThanSeconds: count * units[unit] },
      });
    }),
  );
});

test("a count outside its limits is a usage error", () => {
  fc.assert(
    fc.property(fc.integer({ min: -2_000, max: 3_000 }), (count) => {
      const parse = () => runs.parse(["list", "--max", String(count)]);
      if (count >= 1 && count <= 1_000) expect(parse()).toMatchObject({ max: count });
      else expect(parse).toThrow(UsageError);
    }),
  );
});

test("a reason has 1 to 500 characters, not all of them blank, and is passed on unchanged", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.integer({ min: 495, max: 505 }).map((length) => "x".repeat(length)),
    fc.constantFrom("", " ", "\n\t", "\u00a0"),
  );
  fc.assert(
    fc.property(text, (reason) => {
      const parse = () => instances.parse(["stop", `--reason=${reason}`]);
      const isGood = reason.trim() !== "" && reason.length <= 500 && !reason.startsWith("-");
      if (isGood) expect(parse()).toMatchObject({ reason });
      else expect(parse).toThrow(UsageError);
    }),
  );
});

describe.each(Object.keys(lines))("%s", (name) => {
  const line = lines[name] ?? start;
  const subcommands = verbs[name] ?? [];

  test("any arguments give a command, the help, or one sentence", () => {
    const flags = [...line.usage().matchAll(/--[a-z-]+/g)].map(([flag]) => flag);
    const values = ["5", "2h", "2024-01-01", "mode=x", "i-1", run, "ec2", "hang", "-5", ""];
    const word = fc.oneof(
      fc.constantFrom(...flags),
      fc.constantFrom(...subcommands, ...values, "--", "-h"),
      fc.string({ maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.constantFrom("", ...subcommands), fc.array(word, { maxLength: 6 }), (verb, words) => {
        try {
          line.parse(verb ? [verb, ...words] : words);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect(error).toHaveProperty("message", expect.stringMatching(/[.?]$/));
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each(["-h", "--help"])("%s selects the help of the program and of each subcommand", (flag) => {
    expect(line.parse([flag])).toBe("help");
    for (const verb of subcommands) expect(line.parse([verb, flag])).toBe("help");
  });

  test("every help has an example and the exit codes, each flag has a description, and 80 columns are enough", () => {
    const overview = line.usage();
    expect(overview).toMatch(name === "start" ? /^Usage: npm start -- / : `Usage: npm run ${name} -- `);
    for (const verb of subcommands) {
      expect(line.usage([verb])).toMatch(`Usage: npm run ${name} -- ${verb}`);
      expect(line.usage([verb])).toContain(`\nExample:\n  npm run ${name} -- ${verb} `);
      expect(overview).toMatch(new RegExp(`^  ${verb} .*[A-Z]`, "m"));
    }
    for (const help of [overview, ...subcommands.map((verb) => line.usage([verb]))]) {
      expect(help).toMatch(/^ {2}(npm (run|start)|npx sst shell) .*$/m);
      expect(help).toMatch(/\nExit codes: 0 success, 1 failure, 2 usage error, 130 interrupted\n/);
      for (const [, flag] of help.matchAll(/^ {2}(--[a-z-]+)/gm)) {
        expect(help).toMatch(new RegExp(`^  ${flag} .*[A-Z]`, "m"));
      }
      const wide = help.split("\n").filter((text) => text.length > 80 && !text.startsWith("  n"));
      expect(wide).toEqual([]);
    }
  });
});
