// The simulated LibInsight with a plan's faults: it fails requests, and changes records between two pages. The history
// gets the expected content of each response from the records, not from the response itself.
import { mock } from "node:test";
import { addDays } from "../../shared/dates.ts";
import type { KindName } from "../../shared/kinds/kinds.ts";
import { pageCount } from "../../shared/run.ts";
import { between, seeded } from "../../stacks/local/libinsight/random.ts";
import {
  type FaultSetting,
  firstDay,
  type LibInsight,
  type LibInsightRecord,
  type LoggedRequest,
  lastDay,
  startLibInsight,
} from "../../stacks/local/libinsight.ts";
import type { FaultAt, Plan } from "./fault-plan.ts";
import type { History, PageResponse } from "./history.ts";
import type { Faults } from "./injected-faults.ts";
import { withComment, withWords } from "./planted.ts";
import { amountOf, recordsOf } from "./statistic-rows.ts";

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
  /** Restarts with a plan's records. @returns a function that changes records between two requests */
  begin(plan: Plan, faults: Faults, history: History): (changes: readonly FaultAt<"source">[]) => void;
  close(): Promise<void>;
};

export type SourceOptions = {
  credentials: { clientId: string; clientSecret: string };
  /** The text of every field of the records. By default, the fields have planted words (planted.ts). */
  mark: string | undefined;
  /** A text that is added to every error. */
  errorText: string;
};

export async function startSource({ credentials, mark, errorText }: SourceOptions): Promise<Source> {
  const libInsight = await startLibInsight({ credentials });
  // With mocked timers a request times out if the plan lets it hang, and never because the machine is busy.
  mock.timers.enable({ apis: ["setTimeout"] });
  return {
    baseUrl: libInsight.baseUrl,
    begin(plan, faults, history) {
      const apply = (changes: readonly FaultAt<"source">[]): void => {
        for (const change of changes) {
          if (!applied(change, plan, libInsight)) continue;
          faults.countInjected(`source ${change.kind}`);
          history.states.push(recordsOf(plan.kind, libInsight));
        }
      };
      const onRequest = ({ path, query }: LoggedRequest): void => {
        const endpoint = endpointsOf[plan.kind].find((name) => path.endsWith(`/${name}`));
        if (!endpoint) return;
        const { changes, fault: planned } = faults.nextPage();
        apply(changes);
        const records = history.states.at(-1) ?? [];
        const fault = planned && canBe(planned.kind, plan.kind, query, records) ? planned : undefined;
        // The list of platforms is not a page.
        if (endpoint !== "platforms") {
          const response = responders[plan.kind](query, records, plan.pageSize, fault?.kind);
          const isMiscounted = fault?.kind === "other-total";
          history.lastResponse = response && { ...response, state: history.states.length - 1, isMiscounted };
        }
        if (!fault) return;
        libInsight.fail(...settingsOf(fault, endpoint, errorText));
        if (fault.kind === "hang") mock.timers.tick(requestTimeoutMs);
        faults.countInjected(`libinsight ${fault.kind}`);
      };
      libInsight.restart({
        credentials,
        ...{ kind: plan.kind, firstDay: history.entry.firstDate, lastDay },
        records: plan.records,
        pageSize: plan.pageSize,
        seed: plan.seed,
        onRequest,
        ...(plan.addedField && {
          addedField: { name: addedField, options: ["one", "two"], since: "2023-06-01" },
        }),
      });
      if (plan.kind === "records") prepare(plan, libInsight, mark);
      history.states.push(recordsOf(plan.kind, libInsight));
      return apply;
    },
    async close() {
      mock.timers.reset();
      await libInsight.close();
    },
  };
}

/** The endpoints of a kind that a fetcher requests. */
const endpointsOf = {
  records: ["data-grid"],
  "gate-count": ["overview"],
  "e-resources": ["overview", "platforms"],
} as const;

const miscounts = ["too-few", "too-many", "repeated", "other-total"];

/**
 * Returns whether a response can have a fault. A map has no entry twice and, without entries, nothing to miscount; and
 * nothing counts the use of e-resources.
 */
function canBe(
  fault: FaultAt<"libinsight">["kind"],
  kind: KindName,
  query: Record<string, string>,
  all: readonly LibInsightRecord[],
): boolean {
  if (kind === "records" || !miscounts.includes(fault)) return true;
  const isPossible = fault === "too-few" || fault === "other-total";
  return kind === "gate-count" && isPossible && within(query, all, "date").length > 0;
}

/** Returns the content of a response, including injected inconsistencies; undefined if there is no such page. */
type Responder = (
  query: Record<string, string>,
  all: readonly LibInsightRecord[],
  pageSize: number,
  fault: FaultAt<"libinsight">["kind"] | undefined,
) => Omit<PageResponse, "state" | "isMiscounted"> | undefined;

const responders: Record<KindName, Responder> = {
  records: gridPage,
  "gate-count": gateCounts,
  "e-resources": (query, all) => {
    const records = within(query, all, "month");
    return { page: 1, records, totals: { totalPages: 1, totalRecords: records.length }, recount: {} };
  },
};

function within(
  { from = "", to = "" }: Record<string, string>,
  all: readonly LibInsightRecord[],
  field: string,
): LibInsightRecord[] {
  return all.filter((record) => String(record[field]) >= from && String(record[field]) <= to);
}

function gateCounts(...[query, all, , fault]: Parameters<Responder>): ReturnType<Responder> {
  const found = within(query, all, "date");
  const sumOf = (records: readonly LibInsightRecord[]) =>
    records.reduce((sum, record) => sum + amountOf(record), 0);
  if (query.aggregate === "daily") {
    const [first = [], ...others] = Map.groupBy(found, ({ date, library }) => `${date} ${library}`).values();
    const sum = sumOf(fault === "too-few" ? others.flat() : [...first, ...others.flat()]);
    const recount = { sum: sum + (fault === "other-total" ? 1 : 0) };
    return { page: 1, records: [], totals: { totalPages: 1, totalRecords: 0 }, recount };
  }
  const [first, ...others] = found;
  const changed =
    first && fault === "other-total" ? [{ ...first, count: amountOf(first) + 1 }, ...others] : found;
  const records = fault === "too-few" ? others : changed;
  const totals = { totalPages: 1, totalRecords: records.length, sum: sumOf(records) };
  return { page: 1, records, totals, recount: {} };
}

function gridPage(
  ...[{ from = "", to = "", page: asked = "1" }, all, pageSize, fault]: Parameters<Responder>
): ReturnType<Responder> {
  const page = Number(asked);
  const dayOf = (record: LibInsightRecord) => String(record._start_date).slice(0, 10);
  const selected = all.filter((record) => dayOf(record) >= from && dayOf(record) <= to);
  const totals = { totalPages: Math.ceil(selected.length / pageSize), totalRecords: selected.length };
  if (page > pageCount(totals)) return undefined;
  const records = selected.slice((page - 1) * pageSize, page * pageSize);
  const response = (changed: LibInsightRecord[], { totalPages, totalRecords } = totals) => ({
    ...{ page, records: changed, totals: { totalPages, totalRecords }, recount: { totalRecords } },
  });
  switch (fault) {
    case "too-few":
      return response(records.slice(1));
    case "too-many":
      return response([...records, ...records.slice(0, 1)]);
    case "repeated":
      return response([...records.slice(0, -1), ...records.slice(0, 1)]);
    case "other-total":
      return response(records, { ...totals, totalRecords: totals.totalRecords + 1 });
    default:
      return response(records);
  }
}

/** Days from the first day to each busy day. */
const busyDays = [400, 410, 900];

/** Prepares the plan's initial records. Each gets a date, so that its window is known. */
function prepare(plan: Plan, libInsight: LibInsight, mark: string | undefined): void {
  let date = `${firstDay} 00:00:00`;
  for (const [n, record] of [...libInsight.records()].entries()) {
    const dated = typeof record._start_date === "string" && record._start_date !== "";
    date = dated ? String(record._start_date) : date;
    const busy = n % 2 === 1 && plan.busyDays > 0 ? busyDays[n % plan.busyDays] : undefined;
    const at = busy === undefined ? date : `${addDays(firstDay, busy)} 09:00:00`;
    libInsight.edit(Number(record._id), (before) => {
      const complete = { ...before, _start_date: at };
      return mark === undefined ? withWords(complete, addedField) : marked(complete, mark);
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
function applied(change: FaultAt<"source">, { kind, seed }: Plan, libInsight: LibInsight): boolean {
  if (kind !== "records") {
    const counts = [...(kind === "gate-count" ? libInsight.counts() : libInsight.uses())];
    const chosen = counts[Math.floor((change.pick / 1000) * counts.length)];
    if (chosen) libInsight.setCount(chosen, change.kind === "remove" ? 0 : chosen.count + change.nth);
    return chosen !== undefined;
  }
  const records = [...libInsight.records()];
  const chosen = records[Math.floor((change.pick / 1000) * records.length)];
  if (typeof chosen?._id !== "number") return false;
  if (change.kind === "remove") libInsight.remove(chosen._id);
  else if (change.kind === "move") {
    // Half of the moves are to a day that has a record.
    const other = records[(change.pick * change.nth) % records.length]?._start_date;
    const random = addDays(firstDay, (change.pick * change.nth) % 1_000);
    const day = change.pick % 2 === 0 ? random : String(other).slice(0, 10);
    libInsight.edit(chosen._id, (record) => ({ ...record, _start_date: `${day} 12:00:00` }));
  } else if (change.kind === "edit") {
    libInsight.edit(chosen._id, (record) => withComment(record, `edited ${change.nth}`));
  } else {
    // The simulation's own ids are above 31 million.
    const id = between(seeded(seed ^ change.nth ^ change.pick), 1, 30_000_000);
    // A third is of the last day or later.
    const late = { _start_date: `${addDays(lastDay, change.nth % 8)} 10:00:00` };
    const copy = { ...chosen, ...(change.pick % 3 === 0 && late) };
    libInsight.add(withComment({ ...copy, _id: id }, `added ${change.nth}`));
  }
  return true;
}

function settingsOf(
  { kind }: FaultAt<"libinsight">,
  endpoint: (typeof endpointsOf)[KindName][number],
  errorText: string,
): FaultSetting[] {
  const where = { endpoint };
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
      return [{ kind, payload: { message: `Simulated error. ${errorText}` }, where }];
    default:
      return [{ kind, where }];
  }
}
