// Serves gate counts by library and hour, and their sums by day. LibInsight's answers are known from public clients
// (https://github.com/uls-library); the shape of its daily counts and of its list of libraries is not.
import * as z from "zod/mini";
import { addDays, daysBetween } from "../../../../../shared/dates.ts";
import { seasonOf } from "../../academic-year.ts";
import { hourLevels, hoursOn } from "../../question-times.ts";
import { seededAt } from "../../random.ts";
import {
  answered,
  dateRange,
  failure,
  listed,
  type SimulatedResponse,
  success,
} from "../../simulated-responses.ts";
import { type Ledger, ledger } from "../ledger.ts";
import type { SimulatedKind } from "../simulated-kind.ts";
import { mapMember, sumsOf, withSurplus } from "../sums.ts";
import { type LocalHour, localHours, nameOf } from "./local-hours.ts";

export type HourCount = LocalHour & {
  /** The library's id. */
  library: number;
  /** Missing for the library that LibInsight does not list. */
  name: string | undefined;
  count: number;
};

type Library = {
  id: number;
  name?: string;
  /** People in a busy hour. */
  level: number;
  opens: "every hour" | "every day" | "on weekdays";
};

const libraries: readonly Library[] = [
  { id: 3, name: "Main Library", level: 180, opens: "every day" },
  { id: 12, name: "Study Commons", level: 60, opens: "every hour" },
  { id: 47, name: 'Art & Architecture "Annex"', level: 9, opens: "on weekdays" },
  { id: 205, name: "Café Reading Room", level: 25, opens: "every day" },
  { id: 1310, level: 4, opens: "on weekdays" },
];
const names = Object.fromEntries(
  libraries.flatMap(({ id, name }) => (name === undefined ? [] : [[id, name]])),
);

const query = z.strictObject({ ...dateRange, aggregate: z.enum(["hourly", "daily"]) });

export const gateCount: SimulatedKind<
  "overview" | "libraries",
  { counts: Ledger<HourCount>["entries"]; setCount: Ledger<HourCount>["setCount"] }
> = {
  contents: "gate counts",
  paths: [
    ["gate-count", "overview"],
    ["gate-count", "libraries"],
  ],
  parameters: Object.keys(query.shape),
  example: ({ lastDay }) => ({
    path: ["gate-count", "overview"],
    parameters: { from: addDays(lastDay, -6), to: lastDay, aggregate: "hourly" },
  }),
  open(settings) {
    const { seed, timeZone, dailyCounts } = settings;
    const hoursOf = localHours(timeZone);
    const { entries: counts, setCount } = ledger(settings, (date) => countsOf(hoursOf(date), date, seed));
    return {
      counts,
      setCount,
      responses: {
        overview: (parameters) =>
          answered(parameters, query, ({ from, to, aggregate }) => {
            if (aggregate === "hourly") return overview("hourly", counts(from, to), from);
            // It is unknown whether LibInsight has daily counts of every dataset, and how it refuses an aggregate.
            return dailyCounts
              ? overview("daily", counts(from, to), from)
              : failure(200, "There is no such aggregate.");
          }),
        libraries: () => success({ libraries: names }),
      },
    };
  },
};

/** From July 10 to 23 the counters are out of order, so at least one week is empty, whatever day weeks begin on. */
function hasCounts(date: string): boolean {
  const monthAndDay = date.slice(5);
  return seasonOf(date) !== "closed" && (monthAndDay < "07-10" || monthAndDay > "07-23");
}

/** Returns the counts of a day's hours. Hours in which a library is closed have none. */
function countsOf(hours: readonly LocalHour[], date: string, seed: number): HourCount[] {
  if (!hasCounts(date)) return [];
  const [opens, closes, level] = hoursOn(date);
  const weekday = new Date(date).getUTCDay();
  return hours.flatMap((hour) =>
    libraries.flatMap((library) => {
      const { id, name, opens: days } = library;
      const isNight = hour.hour < opens || hour.hour >= closes;
      if (days === "on weekdays" && (weekday === 0 || weekday === 6)) return [];
      if (isNight && days !== "every hour") return [];
      // The night has a quarter of the people of an average hour.
      const busy = (isNight ? 0.25 : (hourLevels[hour.hour] ?? 0)) * Math.max(level, 0.3);
      const random = seededAt(seed ^ id, Date.parse(hour.start) / 900_000);
      return [{ ...hour, library: id, name, count: Math.floor(library.level * busy * (0.4 + random())) }];
    }),
  );
}

function overview(
  aggregate: "hourly" | "daily",
  counts: Iterable<HourCount>,
  from: string,
): SimulatedResponse {
  const at = (hour: Pick<LocalHour, "date" | "hour">) => (aggregate === "daily" ? hour.date : nameOf(hour));
  const sums = sumsOf(counts, (count) => [at(count), String(count.library)]);
  return listed(sums, (shown, surplus) => {
    const written = withSurplus(shown, surplus, [at({ date: from, hour: 12 }), "3"]);
    const named = JSON.stringify(written.length > 0 ? names : []);
    // The next week has the next turn, and so has the same week of the next year.
    const turn = Math.floor(daysBetween("1970-01-01", from) / 7) + Number(from.slice(0, 4));
    return `{${[`"libraries":${named}`, ...mapMember(aggregate, written, turn)].join(",")}}`;
  });
}
