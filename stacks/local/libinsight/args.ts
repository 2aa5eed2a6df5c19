// The command line of `npm run libinsight`.
import { parseArgs } from "node:util";
import { renameOf } from "./renames.ts";
import { type LibInsightSettings, settings } from "./settings.ts";

export const usage = `npm run libinsight -- [--port N] [--seed N] [--records N] [--latency MS] [--page-size N]
                      [--token-seconds N] [--rename FIELD=LABEL]... [--fault FAULT]...

  --port N           port on 127.0.0.1 (default: a free one)
  --seed N           the same seed gives the same records (default 1)
  --records N        how many (default 10300, at most 2000000)
  --latency MS       wait before each answer (default 0)
  --page-size N      records a page (default 100)
  --token-seconds N  how long a token lasts (default 3600)
  --rename FIELD=LABEL
                     tell a field under another label: --rename "mode=Mode of contact"
  --fault FAULT      KIND[,NAME=VALUE]...; several are used up in their order
                     kinds: status rate-limited html broken-json error-at-200 hang reset cut-body unauthorized
                            too-few too-many repeated other-total
                     names: endpoint (token, data-grid, fields), from, page, times, status, retry-after
                     for example: --fault rate-limited,retry-after=2,endpoint=data-grid,page=3,times=2
`;

const flags = {
  port: { type: "string" },
  seed: { type: "string" },
  records: { type: "string" },
  latency: { type: "string" },
  "page-size": { type: "string" },
  "token-seconds": { type: "string" },
  rename: { type: "string", multiple: true },
  fault: { type: "string", multiple: true },
  help: { type: "boolean", short: "h" },
} as const;

export type Command =
  | { kind: "start"; settings: LibInsightSettings }
  | { kind: "help" }
  /** One sentence. */
  | { kind: "bad"; problem: string };

export function parseCommand(args: readonly string[]): Command {
  const read = readFlags(args);
  if ("problem" in read) return { kind: "bad", problem: read.problem };
  const { values } = read;
  if (values.help) return { kind: "help" };
  const parsed = settings.safeParse({
    port: numberOf(values.port),
    seed: numberOf(values.seed),
    records: numberOf(values.records),
    latencyMs: numberOf(values.latency),
    pageSize: numberOf(values["page-size"]),
    tokenSeconds: numberOf(values["token-seconds"]),
    renames: values.rename?.map(renameOf),
    faults: values.fault?.map(faultOf),
  });
  if (parsed.success) return { kind: "start", settings: parsed.data };
  const [issue] = parsed.error.issues;
  return { kind: "bad", problem: `${flagName(issue?.path)} can't be used: ${issue?.message}.` };
}

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false });
  } catch (error) {
    // Node's message is a sentence, followed by advice on positional arguments, which there are none of.
    const [sentence = ""] = error instanceof Error ? error.message.split(/\.\s/) : [];
    return { problem: `${sentence.replace(/\.$/, "")}.` };
  }
}

/** What is not a whole number is left to be refused with the settings. */
function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

const whereNames = ["endpoint", "from", "page"];

/** `KIND,NAME=VALUE,...` as a fault; a name that there is not is left to be refused with the settings. */
function faultOf(text: string): Record<string, unknown> {
  const [kind, ...pairs] = text.split(",");
  const entries = pairs.map((pair): [string, unknown] => {
    const [name = "", value = ""] = pair.split("=", 2);
    return [name === "retry-after" ? "retryAfter" : name, /^\d+$/.test(value) ? Number(value) : value];
  });
  const where = Object.fromEntries(entries.filter(([name]) => whereNames.includes(name)));
  const rest = Object.fromEntries(entries.filter(([name]) => !whereNames.includes(name)));
  return { ...rest, kind, where };
}

/** The flag of a setting, with the part of the fault that is wrong. */
function flagName([setting, , ...part]: readonly PropertyKey[] = []): string {
  switch (setting) {
    case "latencyMs":
      return "--latency";
    case "pageSize":
      return "--page-size";
    case "tokenSeconds":
      return "--token-seconds";
    case "renames":
      return "--rename";
    case "faults":
      return ["--fault", ...part.map(String)].join(" ");
    default:
      return `--${String(setting)}`;
  }
}
