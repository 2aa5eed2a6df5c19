// Serves the use of electronic resources by platform, data type and metric, without dates, as LibInsight does. The names
// of types and metrics follow COUNTER (https://www.countermetrics.org); those of platforms are invented.
import * as z from "zod/mini";
import { addDays } from "../../../../../shared/dates.ts";
import { hoursOn } from "../../question-times.ts";
import { seededAt } from "../../random.ts";
import { answered, dateRange, listed, type SimulatedResponse, success } from "../../simulated-responses.ts";
import { type Ledger, ledger } from "../ledger.ts";
import type { SimulatedKind } from "../simulated-kind.ts";
import { mapMember, sumsOf, withSurplus } from "../sums.ts";

/** A metric on a day. LibInsight's responses have no days: they have the sums of the requested range. */
export type Use = {
  date: string;
  /** The platform's id. */
  platform: number;
  /** Missing for the platform that LibInsight does not list. */
  name: string | undefined;
  type: string;
  metric: string;
  count: number;
};

type Platform = { id: number; name?: string; types: readonly string[]; level: number };

const platforms: readonly Platform[] = [
  { id: 12, name: "Open Shelf", types: ["Book", "Other"], level: 40 },
  { id: 197, name: "Journals Online", types: ["Book", "Journal", "Database", "Multimedia"], level: 220 },
  { id: 264, name: 'Films & "Sound"', types: ["Multimedia"], level: 3 },
  { id: 410, name: "Café & Company Journals", types: ["Journal", "Database"], level: 12 },
  { id: 4022, types: ["Database"], level: 25 },
];
/** A platform that is listed and has no use. */
const unused = { id: 88, name: "Trial" };

/** By metric, its part of all investigations. A unique count is never larger than its total. */
const metrics = {
  searches_platform: 0.5,
  total_item_investigations: 1,
  unique_item_investigations: 0.7,
  total_item_requests: 0.6,
  unique_item_requests: 0.45,
  no_license: 0.02,
  limit_exceeded: 0,
};

const query = z.strictObject(dateRange);

export const eResources: SimulatedKind<
  "overview" | "platforms",
  { uses: Ledger<Use>["entries"]; setCount: Ledger<Use>["setCount"] }
> = {
  contents: "e-resource statistics",
  paths: [
    ["e-resources", "overview"],
    ["e-resources", "platforms"],
  ],
  parameters: Object.keys(query.shape),
  example({ lastDay }) {
    const to = addDays(`${lastDay.slice(0, 7)}-01`, -1);
    return { path: ["e-resources", "overview"], parameters: { from: `${to.slice(0, 7)}-01`, to } };
  },
  open(settings) {
    const { entries: uses, setCount } = ledger(settings, (date) => usesOn(date, settings.seed));
    const listedPlatforms = [...platforms, unused].flatMap(({ id, name }) => (name ? [{ id, name }] : []));
    return {
      uses,
      setCount,
      responses: {
        overview: (parameters) =>
          answered(parameters, query, ({ from, to }) => overview(uses(from, to), from)),
        platforms: () => success({ platforms: listedPlatforms }),
      },
    };
  },
};

/** Returns the use of a day. June has none, as if its harvest had failed. */
function usesOn(date: string, seed: number): Use[] {
  if (date.slice(5, 7) === "06") return [];
  const day = Date.parse(date) / 86_400_000;
  const [, , level] = hoursOn(date);
  return platforms.flatMap((platform) =>
    platform.types.flatMap((type, n) => {
      const random = seededAt(seed ^ platform.id, day * 8 + n);
      const all = platform.level * (0.2 + level) * random();
      return Object.entries(metrics).map(([metric, part]) => {
        return {
          date,
          platform: platform.id,
          name: platform.name,
          type,
          metric,
          count: Math.floor(all * part),
        };
      });
    }),
  );
}

function overview(uses: Iterable<Use>, from: string): SimulatedResponse {
  const sums = sumsOf(uses, ({ platform, type, metric }) => [String(platform), type, metric]);
  // A metric without use is 0 or null.
  const values = sums.map((sum, n) => (sum.value === 0 && n % 2 === 1 ? { ...sum, value: null } : sum));
  return listed(values, (shown, surplus) => {
    const written = withSurplus(shown, surplus, ["197", "Book", "total_item_requests"]);
    // The Junes of three years have each turn. LibInsight is not known to leave out the map.
    const turn = Number(from.slice(0, 4)) % 3;
    return `{${mapMember("overview_by_platforms", written, turn).join(",")}}`;
  });
}
