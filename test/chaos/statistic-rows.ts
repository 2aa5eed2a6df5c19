// The records that a run must make of LibInsight's statistics: implements the rules of gate counts and e-resources a second
// time, from the simulation's own counts.
import { createHash } from "node:crypto";
import type { KindName } from "../../shared/kinds/kinds.ts";
import type { LibInsight, LibInsightRecord } from "../../stacks/local/libinsight.ts";

const timeZone = "America/New_York";

/** The field with a record's day or month. */
export const dateFields: Record<KindName, string> = {
  records: "_start_date",
  "gate-count": "date",
  "e-resources": "month",
};

/** The number whose sum LibInsight has a second time. */
export function amountOf(record: LibInsightRecord): number {
  return Number(record.count ?? 0);
}

/** Returns all records of the dataset, in the order in which LibInsight returns them. */
export function recordsOf(kind: KindName, libInsight: LibInsight): LibInsightRecord[] {
  if (kind === "records") return [...libInsight.records()];
  return kind === "gate-count" ? hourRecords(libInsight) : useRecords(libInsight);
}

function hourRecords(libInsight: LibInsight): LibInsightRecord[] {
  const found = new Map<string, LibInsightRecord>();
  for (const { library, name, date, hour, start, count } of libInsight.counts()) {
    const known = found.get(`${library} ${date} ${hour}`);
    // Both hours of the night in which clocks go back have one name.
    if (known) known.count = amountOf(known) + count;
    else {
      const time = `${String(hour).padStart(2, "0")}:00:00`;
      found.set(`${library} ${date} ${hour}`, {
        _id: library * 10_000_000 + (Date.parse(date) / 86_400_000) * 24 + hour,
        library: name ?? String(library),
        date,
        hour,
        count,
        local_start: `${date} ${time}`,
        start: `${date}T${time}${offsetAt(start)}`,
      });
    }
  }
  return [...found.values()];
}

const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });

function offsetAt(utc: string): string {
  return format.format(new Date(utc)).split("GMT")[1] ?? "";
}

function useRecords(libInsight: LibInsight): LibInsightRecord[] {
  const found = new Map<string, LibInsightRecord>();
  for (const { platform, name, type, metric, date, count } of libInsight.uses()) {
    const month = `${date.slice(0, 7)}-01`;
    const key = [month, platform, type, metric].join("\0");
    const known = found.get(key);
    if (known) known.value = Number(known.value) + count;
    else {
      const [year, number] = [Number(month.slice(0, 4)), Number(month.slice(5, 7))];
      const hash = createHash("sha256")
        .update([platform, type, metric].join("\0"))
        .digest("hex")
        .slice(0, 10);
      found.set(key, {
        _id: ((year - 1970) * 12 + number - 1) * 2 ** 40 + Number.parseInt(hash, 16),
        month,
        platform: name ?? String(platform),
        data_type: type,
        metric,
        value: count,
      });
    }
  }
  const months = Map.groupBy(found.values(), ({ month }) => month);
  // The simulation writes every second 0 of a month as null.
  return [...months.values()].flatMap((records) =>
    records.map((record, n) => (record.value === 0 && n % 2 === 1 ? { ...record, value: null } : record)),
  );
}
