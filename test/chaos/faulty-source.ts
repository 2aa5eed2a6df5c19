// The simulated LibInsight with a plan's faults: it fails requests, and changes records between two pages. The history
// gets the expected content of each response from the records, not from the response itself.
import { mock } from "node:test";
import { addDays } from "../../shared/dates.ts";
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
import type { History, PageResponse } from "./history.ts";
import type { Faults } from "./injected-faults.ts";

/** The label of a field that only later records have. */
export const addedField = "Added Field";

/** A text that is larger than a message. */
const oversizedComment = "long ".repeat(200_001);

/** The client's timeout. It ends only requests that hang by the plan, because its timer is mocked. */
export const requestTimeoutMs = 1_000;

/** With fewer records, one reject exceeds the limit of the publish guard. */
const minRecordsForReject = 25;

export type Source = {
  baseUrl: string;
  /** Restarts with a plan's records. */
  begin(plan: Plan, faults: Faults, history: History): void;
  close(): Promise<void>;
};

export type SourceOptions = {
  credentials: { clientId: string; clientSecret: string };
  /** A text that is added to every text of the records and to every error. */
  mark: string;
};

export async function startSource({ credentials, mark }: SourceOptions): Promise<Source> {
  const libInsight = await startLibInsight({ credentials });
  // With mocked timers a request times out if the plan lets it hang, and never because the machine is busy.
  mock.timers.enable({ apis: ["setTimeout"] });
  return {
    baseUrl: libInsight.baseUrl,
    begin(plan, faults, history) {
      const onRequest = ({ path, query }: LoggedRequest): void => {
        if (!path.endsWith("/data-grid")) return;
        const { changes, fault } = faults.nextPage();
        for (const change of changes) {
          if (!applied(change, libInsight, plan.seed)) continue;
          faults.countInjected(`source ${change.kind}`);
          history.states.push([...libInsight.records()]);
        }
        const response = responseTo(query, history.states.at(-1) ?? [], plan.pageSize, fault?.kind);
        history.lastResponse = response && { ...response, state: history.states.length - 1 };
        if (!fault) return;
        libInsight.fail(...settingsOf(fault, mark));
        if (fault.kind === "hang") mock.timers.tick(requestTimeoutMs);
        faults.countInjected(`libinsight ${fault.kind}`);
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
      history.states.push([...libInsight.records()]);
    },
    async close() {
      mock.timers.reset();
      await libInsight.close();
    },
  };
}

/** Returns the content of a page, including injected inconsistencies; undefined if there is no such page. */
function responseTo(
  { from = "", to = "", page: asked = "1" }: Record<string, string>,
  all: readonly LibInsightRecord[],
  pageSize: number,
  fault: FaultAt<"libinsight">["kind"] | undefined,
): Omit<PageResponse, "state"> | undefined {
  const page = Number(asked);
  const dayOf = (record: LibInsightRecord) => String(record._start_date).slice(0, 10);
  const selected = all.filter((record) => dayOf(record) >= from && dayOf(record) <= to);
  const totals = { totalPages: Math.ceil(selected.length / pageSize), totalRecords: selected.length };
  if (page > pageCount(totals)) return undefined;
  const records = selected.slice((page - 1) * pageSize, page * pageSize);
  switch (fault) {
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

/** Prepares the plan's initial records. Each gets a date, so that its window is known. */
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
  if (plan.rejected && ids.length >= minRecordsForReject && last !== undefined)
    libInsight.edit(last, (record) => ({ ...record, _id: null }));
}

function marked(record: LibInsightRecord, mark: string): LibInsightRecord {
  const texts = Object.entries(record).filter(([field]) => field !== "_id" && field !== "_start_date");
  return { ...record, ...Object.fromEntries(texts.map(([field]) => [field, `${mark} ${field}`])) };
}

/** Applies a change. @returns whether there was a record to change */
function applied(change: FaultAt<"source">, libInsight: LibInsight, seed: number): boolean {
  const records = [...libInsight.records()];
  const chosen = records[Math.floor((change.pick / 1000) * records.length)];
  if (typeof chosen?._id !== "number") return false;
  if (change.kind === "remove") libInsight.remove(chosen._id);
  else if (change.kind === "move") {
    const day = addDays(firstDay, (change.pick * change.nth) % 1_000);
    libInsight.edit(chosen._id, (record) => ({ ...record, _start_date: `${day} 12:00:00` }));
  } else if (change.kind === "edit") {
    libInsight.edit(chosen._id, (record) => ({ ...record, "Comments/Notes": `edited ${change.nth}` }));
  } else {
    // The simulation's own ids are above 31 million.
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
    // The client requests a token only after one was refused.
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
