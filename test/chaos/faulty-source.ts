// The simulated LibInsight under a plan: it spoils answers and changes records between two pages. The witness learns what
// each answer has to be, from the records and not from the answer itself.
import { mock } from "node:test";
import { addToDate } from "../../shared/dates.ts";
import { pageCount } from "../../shared/run.ts";
import { between, seeded } from "../../stacks/local/libinsight/random.ts";
import {
  type FaultSetting,
  firstDay,
  type LibInsight,
  type LibInsightRecord,
  type LoggedRequest,
  startLibInsight,
} from "../../stacks/local/libinsight.ts";
import type { FaultAt, Plan } from "./fault-plan.ts";
import type { Faults } from "./injected-faults.ts";
import type { Answer, Witness } from "./witness.ts";

/** The label of a field that only later records have. */
export const addedField = "Added Field";

/** More than a message carries. */
const oversizedComment = "long ".repeat(200_001);

/** Of the client; it passes only where a request hangs. */
export const requestTimeoutMs = 1_000;

/** Fewer, and one reject is more than the publish guard allows. */
const recordsForReject = 25;

export type Source = {
  baseUrl: string;
  /** Starts over with a plan's records. */
  begin(plan: Plan, faults: Faults, witness: Witness): void;
  close(): Promise<void>;
};

export type SourceOptions = {
  credentials: { clientId: string; clientSecret: string };
  /** Put into every record's texts and into every error. */
  mark: string;
};

export async function startSource({ credentials, mark }: SourceOptions): Promise<Source> {
  const libInsight = await startLibInsight({ credentials });
  // A request times out where the plan lets it hang, and never because the machine is busy.
  mock.timers.enable({ apis: ["setTimeout"] });
  return {
    baseUrl: libInsight.baseUrl,
    begin(plan, faults, witness) {
      const onRequest = ({ path, query }: LoggedRequest): void => {
        if (!path.endsWith("/data-grid")) return;
        const { changes, fault } = faults.nextPage();
        for (const change of changes) {
          if (!applied(change, libInsight, plan.seed)) continue;
          faults.happened(`source ${change.kind}`);
          witness.states.push([...libInsight.records()]);
        }
        const answer = answerTo(query, witness.states.at(-1) ?? [], plan.pageSize, fault?.kind);
        witness.answered = answer && { ...answer, state: witness.states.length - 1 };
        if (!fault) return;
        libInsight.fail(...settingsOf(fault, mark));
        if (fault.kind === "hang") mock.timers.tick(requestTimeoutMs);
        faults.happened(`libinsight ${fault.kind}`);
      };
      libInsight.restart({
        credentials,
        records: plan.records,
        pageSize: plan.pageSize,
        seed: plan.seed,
        onRequest,
        ...(plan.addedField && {
          addedField: { name: addedField, options: ["one", "two"], since: "2023-06-01" },
        }),
      });
      prepare(plan, libInsight, mark);
      witness.states.push([...libInsight.records()]);
    },
    async close() {
      mock.timers.reset();
      await libInsight.close();
    },
  };
}

/** What a page has to hold, lies included; undefined where there is no such page. */
function answerTo(
  { from = "", to = "", page: asked = "1" }: Record<string, string>,
  all: readonly LibInsightRecord[],
  pageSize: number,
  lie: FaultAt<"libinsight">["kind"] | undefined,
): Omit<Answer, "state"> | undefined {
  const page = Number(asked);
  const dayOf = (record: LibInsightRecord) => String(record._start_date).slice(0, 10);
  const selected = all.filter((record) => dayOf(record) >= from && dayOf(record) <= to);
  const totals = { totalPages: Math.ceil(selected.length / pageSize), totalRecords: selected.length };
  if (page > pageCount(totals)) return undefined;
  const records = selected.slice((page - 1) * pageSize, page * pageSize);
  switch (lie) {
    case "too-few":
      return { page, totals, records: records.slice(1) };
    case "too-many":
      return { page, totals, records: [...records, ...records.slice(0, 1)] };
    case "repeated":
      return { page, totals, records: [...records.slice(0, -1), ...records.slice(0, 1)] };
    case "other-total":
      return { page, records, totals: { ...totals, totalRecords: totals.totalRecords + 1 } };
    default:
      return { page, records, totals };
  }
}

/** The plan's first state of the records. Each gets a date, by which the witness knows its window. */
function prepare(plan: Plan, libInsight: LibInsight, mark: string): void {
  let date = `${firstDay} 00:00:00`;
  for (const record of [...libInsight.records()]) {
    const dated = typeof record._start_date === "string" && record._start_date !== "";
    date = dated ? String(record._start_date) : date;
    const at = date;
    libInsight.edit(Number(record._id), (before) => {
      const complete = { ...before, _start_date: at };
      return mark === "" ? complete : marked(complete, mark);
    });
  }
  const ids = [...libInsight.records()].map((record) => Number(record._id));
  const [first] = ids;
  const last = ids.at(-1);
  if (plan.oversized && first !== undefined) {
    libInsight.edit(first, (record) => ({ ...record, "Comments/Notes": oversizedComment }));
  }
  if (plan.rejected && ids.length >= recordsForReject && last !== undefined)
    libInsight.edit(last, (record) => ({ ...record, _id: null }));
}

function marked(record: LibInsightRecord, mark: string): LibInsightRecord {
  const texts = Object.entries(record).filter(([field]) => field !== "_id" && field !== "_start_date");
  return { ...record, ...Object.fromEntries(texts.map(([field]) => [field, `${mark} ${field}`])) };
}

/** @returns whether there was a record to change */
function applied(change: FaultAt<"source">, libInsight: LibInsight, seed: number): boolean {
  const records = [...libInsight.records()];
  const chosen = records[Math.floor((change.pick / 1000) * records.length)];
  if (typeof chosen?._id !== "number") return false;
  if (change.kind === "remove") libInsight.remove(chosen._id);
  else if (change.kind === "move") {
    const day = addToDate(firstDay, { days: (change.pick * change.nth) % 1_000 });
    libInsight.edit(chosen._id, (record) => ({ ...record, _start_date: `${day} 12:00:00` }));
  } else if (change.kind === "edit") {
    libInsight.edit(chosen._id, (record) => ({ ...record, "Comments/Notes": `edited ${change.nth}` }));
  } else {
    // Ids of the simulation are above 31 millions.
    const id = between(seeded(seed ^ change.nth ^ change.pick), 1, 30_000_000);
    libInsight.add({ ...chosen, _id: id, "Comments/Notes": `added ${change.nth}` });
  }
  return true;
}

function settingsOf({ kind }: FaultAt<"libinsight">, mark: string): FaultSetting[] {
  const where = { endpoint: "data-grid" } as const;
  switch (kind) {
    case "429":
      return [{ kind: "rate-limited", where }];
    case "429-retry-after":
      return [{ kind: "rate-limited", retryAfter: 30, where }];
    case "500":
      return [{ kind: "status", status: 500, where }];
    case "502-html":
      return [{ kind: "html", status: 502, where }];
    case "401":
      return [{ kind: "unauthorized", where }];
    // A token is asked for when one was refused.
    case "token-500":
      return [
        { kind: "unauthorized", where },
        { kind: "status", status: 500, where: { endpoint: "token" } },
      ];
    case "token-refused":
      return [
        { kind: "unauthorized", where },
        { kind: "unauthorized", where: { endpoint: "token" } },
      ];
    case "error-at-200":
      return [{ kind, payload: { message: `Simulated error. ${mark}` }, where }];
    default:
      return [{ kind, where }];
  }
}
