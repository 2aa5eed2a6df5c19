import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { beforeAll, describe, expect, it } from "vitest";
import { renderReport } from "../../../services/renderer/render.ts";
import { csvRows } from "../../../shared/csv.ts";
import { rejectedCount } from "../../../shared/run.ts";
import {
  history,
  inputOf,
  recordsOfHistory,
  reportDataset,
  reportStates,
  runOfRecords,
  simulatedReport,
  stressedReport,
} from "../../factories/library-history.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const states = reportStates();
const published = renderReport(states.published);
/** A year of a small library. */
const small = { ...history, from: "2023-12-04", perDay: 6 };

function textOf(html: string): string {
  const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: " " };
  return html
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<\/?(a|b|em)\b[^>]*>/g, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/&([a-z]+|#39);/g, (entity, name) => entities[name] ?? entity)
    .replace(/\s+/g, " ");
}

/** Returns the texts of the cells of the table with this caption. */
function rowsOf(html: string, caption: string): string[][] {
  const table = html.split("<table").find((part) => part.includes(`>${caption}</caption>`)) ?? "";
  const [body = ""] = /<tbody>.*?<\/tbody>/s.exec(table) ?? [];
  const cells = (row: string) => [...row.matchAll(/<t[hd](?: [^>]*)?>(.*?)<\/t[hd]>/gs)];
  return body
    .split("<tr")
    .slice(1)
    .map((row) => cells(row).map(([, cell = ""]) => textOf(cell).trim()));
}

describe("the header", () => {
  const heads = Object.entries(states).map(([state, input]) => {
    const [, headline, lead] =
      /<h1>(.*?)<\/h1>\s*<p class="lead">(.*?)<\/p>/s.exec(renderReport(input)) ?? [];
    return [state, [headline, lead].map((text) => textOf(text ?? "").trim())];
  });

  it("says what happened and what to do", () => {
    expect(Object.fromEntries(heads)).toMatchInlineSnapshot(`
      {
        "empty": [
          "The published file has no records.",
          "All 3 windows reconcile with LibInsight. 4 of 6 expectations are met; 1 cannot be judged yet; one needs a look: who is filled in for 96.4% of the records, and 97% is expected.",
        ],
        "failed": [
          "Nothing new is published: this run failed.",
          "LibInsight stopped answering after 2 of 3 windows. Request the run again. Athena still shows the 11,755 records of Nov 25, 2024.",
        ],
        "first": [
          "11,810 records are published for the first time.",
          "All 3 windows reconcile with LibInsight.",
        ],
        "held": [
          "Nothing new is published: this run found 10,534 records, 10.4% fewer than a week ago.",
          "Rows fell from 11,755 to 10,534 (by 10.4%; the limit is 10%). Athena still shows the 11,755 records of Nov 25, 2024. A data engineer decides whether to publish or discard the held file. The figures below describe the held run.",
        ],
        "published": [
          "11,810 records are published, 55 more than a week ago.",
          "All 3 windows reconcile with LibInsight. 4 of 6 expectations are met; 1 cannot be judged yet; one needs a look: who is filled in for 96.4% of the records, and 97% is expected.",
        ],
        "superseded": [
          "Nothing new is published: a later run was faster.",
          "A later run (reference-transactions-0123456789ab) has already published; its file stays. No action needed. Athena still shows the 11,755 records of Nov 25, 2024.",
        ],
      }
    `);
  });
});

describe("the document", () => {
  it("needs no script and makes no request", () => {
    for (const input of Object.values(states)) {
      const html = renderReport(input);
      expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
      expect(html).not.toMatch(/<script|<link|<img|<iframe|javascript:|https?:|url\(|@import| on[a-z]+=/i);
    }
  });

  it("is at most 300 KB, with very many and very long names too", () => {
    expect(published.length).toBeLessThan(100_000);
    expect(renderReport(stressedReport()).length).toBeLessThan(300_000);
  });

  it("has the same bytes in every time zone and each time", { timeout: 120_000 }, () => {
    const script = `
      import { createHash } from "node:crypto";
      import { reportStates } from "./test/factories/library-history.ts";
      import { renderReport } from "./services/renderer/render.ts";
      const hash = createHash("sha256");
      for (const input of Object.values(reportStates())) hash.update(renderReport(input));
      console.log(hash.digest("hex"));`;
    const hashIn = (TZ: string, LANG: string) =>
      execFileSync(process.execPath, ["--input-type=module", "-e", script], {
        env: { ...process.env, TZ, LANG, NODE_OPTIONS: "" },
        encoding: "utf8",
      });
    expect(hashIn("Asia/Tokyo", "de_DE.UTF-8")).toBe(hashIn("America/Los_Angeles", "C"));
    expect(renderReport(states.published)).toBe(published);
  });

  it("escapes labels and answers", () => {
    const attack = `"><script>alert('1')</script>\u0000\u202eevil & co\n`;
    const dataset = {
      ...reportDataset,
      columns: reportDataset.columns.map((column) =>
        column.name === "who" ? { ...column, name: `who${attack}` } : column,
      ),
    };
    const records = recordsOfHistory(small).map((record) => ({
      ...record,
      Location: [`Desk${attack}`],
      [`who${attack}`]: record.who,
      who: undefined,
    }));
    const html = renderReport(
      inputOf(runOfRecords(records, small, dataset), runOfRecords([], small, dataset), dataset),
    );
    expect(html).toContain("Desk&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
    expect(html).not.toContain("<script");
    expect(html).not.toMatch(/[\p{Cc}--\n]|\u202e/v);
  });

  it("has none of 200 secrets from personal columns", () => {
    const secrets = Array.from({ length: 200 }, (_, index) => `secret${index}@example.org`);
    const edit = (record: Record<string, unknown>) => {
      const secret = secrets[Number(record._id) % 200];
      return {
        ...record,
        "Comments/Notes": `call ${secret}`,
        employee: [secret],
        answeredBy: [secret],
        research: secret,
      };
    };
    const { run, input } = simulatedReport({ ...small, edit });
    const html = renderReport(input);
    for (const secret of secrets) {
      expect(run.csv).toContain(secret);
      expect(html).not.toContain(secret);
    }
  });
});

describe("every number", () => {
  const { input, run } = simulatedReport();
  const html = renderReport(input);
  const folder = useFolder();
  let query: (sql: string) => Promise<(string | number | null)[][]>;

  beforeAll(async () => {
    const file = join(folder, "data.csv");
    await writeFile(file, csvRows([run.headers]) + run.csv);
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    await connection.run(`CREATE TABLE t AS SELECT *, CAST(strptime(_start_date, '%Y-%m-%d %H:%M:%S') AS TIMESTAMP) AS started
      FROM read_csv('${file}', header = true, all_varchar = true, escape = '"', quote = '"')`);
    query = async (sql) => {
      const rows = await (await connection.runAndReadAll(sql)).getRows();
      return rows.map((row) =>
        row.map((value) =>
          typeof value === "bigint"
            ? Number(value)
            : value === null
              ? null
              : typeof value === "number"
                ? value
                : String(value),
        ),
      );
    };
  });

  /** Checks a count as the report shows it: exact, hidden, or near. */
  function expectCount(text: string | undefined, n: unknown, near = 16): void {
    const shown = Number(text?.replace(/[~,]/g, ""));
    if (text === "<5") expect([1, 2, 3, 4]).toContain(n);
    else if (text?.startsWith("~")) expect(Math.abs(shown - Number(n))).toBeLessThanOrEqual(near);
    else expect(shown, String(text)).toBe(n);
  }
  const rounded = (n: number) => (n > 0 && n < 5 ? "<5" : String(Math.round(n / 5) * 5));

  it("of the weeks equals a query", async () => {
    const rows = rowsOf(html, "Records per week, rounded to fives");
    expect(rows).toHaveLength(53);
    const weeks = new Map(
      await query(
        `SELECT strftime(date_trunc('week', started), '%b %-d, %Y'), count(*) FROM t GROUP BY 1`,
      ).then((all) => all.map(([week, n]) => [week, Number(n)] as const)),
    );
    for (const [week, monday = "", now] of rows.slice(0, 14))
      if (week === "14") expect(now).toBe(String(weeks.get(monday)));
      else expect(now?.replace("~", "")).toBe(rounded(weeks.get(monday) ?? 0));
  });

  it("of the hours equals a query", async () => {
    const cells = await query(
      `SELECT isodow(started), hour(started), count(*) FROM t WHERE started >= '2023-12-04' GROUP BY 1, 2`,
    );
    const rows = rowsOf(html, "Records by hour and weekday");
    expect(cells.length).toBeGreaterThan(80);
    for (const [day, hour, n] of cells) {
      const row = rows.find(
        ([name]) => name === `${((Number(hour) + 11) % 12) + 1} ${Number(hour) < 12 ? "a" : "p"}.m.`,
      );
      expect(row?.[Number(day)]).toBe(rounded(Number(n)));
    }
  });

  it("of the question types by mode equals a query", async () => {
    const cells = await query(
      `SELECT "Question Type", mode, count(*) FROM t WHERE started >= '2024-07-01' AND mode IS NOT NULL AND "Question Type" IS NOT NULL GROUP BY 1, 2`,
    );
    const rows = rowsOf(html, "Records by question type and mode");
    const modes = ["In person", "Chat", "E-mail", "Phone", "Zoom"];
    expect(cells).toHaveLength(rows.length * modes.length);
    for (const [type, mode, n] of cells) {
      const row = rows.find(([name]) => name === type);
      const at = /Records by question type and mode.*?<\/thead>/s.exec(html)?.[0] ?? "";
      const order = [...at.matchAll(/scope="col">([^<]+)/g)].map(([, name]) => name);
      expectCount(row?.[order.indexOf(String(mode)) + 1]?.split(" ")[0], n);
    }
  });

  it.each(["location", "who", "mode", "affiliation", "studio"])("of %s equals a query", async (name) => {
    const rows = rowsOf(html, `Records by ${name}`);
    const column = name === "location" ? "Location" : name;
    const between = (from: string, to: string) =>
      `count(*) FILTER (started >= '${from}' AND started < '${to}')`;
    const counts = await query(
      `SELECT "${column}", ${between("2024-07-01", "2024-12-02")}, ${between("2023-07-01", "2023-12-02")} FROM t WHERE "${column}" IS NOT NULL GROUP BY 1`,
    );
    expect(rows.length).toBeGreaterThan(2);
    for (const [answer, now, before] of rows) {
      const found = counts.find(([text]) => text === answer);
      expectCount(now, found?.[1], 20);
      expectCount(before, found?.[2]);
    }
  });

  it("of the coverage equals a query", async () => {
    const rows = rowsOf(html, "Records with a value, by column");
    expect(rows).toHaveLength(run.headers.length);
    for (const [label = "", , records] of rows) {
      const [[n] = []] = await query(
        `SELECT count(*) FROM t WHERE "${label.replace(/ personal$/, "")}" <> ''`,
      );
      expectCount(records, n);
    }
  });

  it("at the top equals a query", async () => {
    const [[all, week, year, median] = []] =
      await query(`SELECT count(*), count(*) FILTER (started >= '2024-11-25'), count(*) FILTER (started >= '2024-07-01'),
      median(CAST("Duration (in minutes)" AS DOUBLE)) FILTER (started >= '2023-12-04') FROM t`);
    const values = [...html.matchAll(/<dd class="value">(.*?)<\/dd>/gs)].map(([, value = ""]) =>
      textOf(value).trim(),
    );
    expect(values.map((value) => value.replace(",", ""))).toEqual([
      `${all}`,
      `${week}`,
      `${year}`,
      `${median} min`,
      `${rejectedCount(run.result)}`,
    ]);
  });
});
