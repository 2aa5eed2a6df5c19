// Runs the service from its queue to the events that it emits, with a Tableau server over HTTP.
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { type TableauDeps, tableauService } from "../../../services/tableau/service.ts";
import { type DatasetInput, dataset as datasetSchema } from "../../../shared/dataset-schema.ts";
import { datasets, findDataset } from "../../../shared/datasets.ts";
import type { Log } from "../../../shared/logger.ts";
import { processBatch } from "../../../shared/message-loop.ts";
import { receiveLimit, routes } from "../../../shared/topology.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { startHttpServer } from "../../support/http-server.ts";
import {
  capturedEvents,
  type EmittedEvent,
  recordedLog,
  type TestLocal,
  take,
  useLocal,
} from "../../support/local-adapters.ts";
import { type Outcome, outcomeOf } from "../../support/outcome.ts";
import { type Fault, job, startTableau, tokenSecret } from "../../support/tableau-server.ts";

const dataset = findDataset("reference-transactions");
const ofRun = { runId: "reference-transactions-0123456789ab", dataset: dataset.name };
const published = { ...ofRun, queryExecutionId: "q", bucket: "results", key: "results.csv", rows: 12 };

const local = useLocal();

let queuePair: ReturnType<TestLocal["queuePair"]>;
let events: EmittedEvent[];
let deps: TableauDeps;
let log: Log;
let logged: Record<string, unknown>[];
beforeEach(() => {
  queuePair = local.queuePair("tableau");
  const bus = capturedEvents();
  events = bus.events;
  ({ log, lines: logged } = recordedLog());
  deps = {
    emit: bus.emit,
    datasets,
    audience: "full",
    tableau: undefined,
    tokenSecret: () => tokenSecret,
    requestTimeoutMs: 1_000,
    refreshTimeoutMs: 20_000,
    pauseMs: 1,
  };
});

type Targets = NonNullable<DatasetInput["tableau"]>;
const desk: Targets = { dataSources: [{ name: "Desk" }] };
const three: Targets = {
  dataSources: [{ name: "Desk" }, { name: "Gates", project: "Library" }],
  workbooks: [{ name: "Weekly" }],
};

/** Starts a Tableau with the data sources and workbooks that the dataset names. */
async function start(targets: Targets, given: Partial<TableauDeps> = {}) {
  const tableau = await startTableau();
  const { dataSources = [], workbooks = [] } = targets;
  const ids = new Map([
    ...dataSources.map(({ name, project }) => [name, tableau.add("datasources", name, project)] as const),
    ...workbooks.map(({ name, project }) => [name, tableau.add("workbooks", name, project)] as const),
  ]);
  dataset.tableau = datasetSchema.shape.tableau.parse(targets);
  onTestFinished(() => {
    dataset.tableau = undefined;
  });
  const { url, site, tokenName } = tableau;
  const settings = { url, site, tokenName, apiVersion: "3.21" };
  deps = { ...deps, tableau: settings, ...given };
  return { tableau, ids, settings };
}

/** Enqueues the event in the group that its route sets. */
async function enqueue(detail = published): Promise<void> {
  const [group] = routes.filter(({ to }) => to === "tableau").flatMap((route) => route.group ?? []);
  await queuePair.source.send(eventMessage("results.published", detail), { group: group ?? "" });
}

const receiveOne = () => queuePair.source.receive({ max: 1, visibilitySeconds: 60, waitSeconds: 0 });

/** Receives a message and handles it. */
async function handleNext(): Promise<Outcome> {
  const messages = await receiveOne();
  const result = await processBatch(tableauService, messages, deps, {
    ...queuePair,
    log,
    retryBaseSeconds: 0,
  });
  const outcome = outcomeOf(result);
  if (outcome !== "retried") for (const { receipt } of messages) await queuePair.source.delete(receipt);
  return outcome;
}

/** Expects one dead letter and one event with the same reason. */
async function expectDeadLetter(reason: RegExp, error: string): Promise<void> {
  const deadLetters = await take(queuePair.deadLetters);
  expect(deadLetters).toMatchObject([
    { group: "tableau", attributes: { Error: error, ErrorText: expect.stringMatching(reason) } },
  ]);
  expect(deadLetters.map(({ body }) => JSON.parse(body))).toMatchObject([{ detail: published }]);
  const reasons = deadLetters.map(({ attributes }) => attributes.ErrorText);
  expect(events).toEqual(reasons.map((reason) => ({ type: "tableau.failed", detail: { ...ofRun, reason } })));
}

const uuid = expect.stringMatching(/^[\da-f-]{36}$/);

test.each([
  ["full", dataset.name, ["Desk"]],
  ["full", `${dataset.name}-deidentified`, []],
  ["deidentified", dataset.name, []],
  ["deidentified", `${dataset.name}-deidentified`, ["Desk"]],
] as const)("with the audience %s, results of %s refresh %j", async (audience, of, refreshed) => {
  const { tableau } = await start(desk, { audience });
  tableau.jobs([job.succeeded]);
  await enqueue({ ...published, dataset: of });
  expect(await handleNext()).toBe("done");
  expect(tableau.refreshed).toEqual(refreshed);
  expect(events.map(({ type }) => type)).toEqual(refreshed.map(() => "tableau.refreshed"));
  expect(JSON.stringify(logged).includes("Tableau reads the other file")).toBe(refreshed.length === 0);
});

test("published results refresh everything that the dataset names in one session, and the outcome is emitted", async () => {
  const { tableau } = await start(three);
  tableau.jobs(
    [job.pending, job.inProgress, job.inProgress, job.succeeded],
    [job.succeeded],
    [job.inProgress, job.doneByBridge],
  );
  await enqueue();
  expect(await handleNext()).toBe("done");
  expect(tableau.refreshed).toEqual(["Desk", "Gates", "Weekly"]);
  const refreshed = [
    { kind: "data source", name: "Desk", jobId: uuid },
    { kind: "data source", name: "Gates", jobId: uuid },
    { kind: "workbook", name: "Weekly", jobId: uuid },
  ];
  expect(events).toEqual([{ type: "tableau.refreshed", detail: { ...ofRun, refreshed } }]);
  const each = (kind: string) => [`find ${kind}`, `refresh ${kind}`];
  expect(tableau.steps.filter((step) => step !== "job")).toEqual([
    "signin",
    ...each("datasources"),
    ...each("datasources"),
    ...each("workbooks"),
    "signout",
  ]);
  // Each job is checked until it has ended.
  expect(tableau.steps.filter((step) => step === "job")).toHaveLength(4 + 1 + 2);
  expect(tableau.sessions.size).toBe(0);
  expect(logged).toMatchObject([{ message: "done", run: ofRun.runId, refreshed: 3 }]);
});

test.each(["no Tableau is configured", "the dataset names nothing"])(
  "nothing is refreshed if %s",
  async (why) => {
    const { tableau } = await start(desk);
    if (why === "the dataset names nothing") dataset.tableau = undefined;
    else deps.tableau = undefined;
    await enqueue();
    expect(await handleNext()).toBe("done");
    expect(tableau.requests).toEqual([]);
    expect(events).toEqual([]);
    expect(logged).toMatchObject([{ level: "INFO", message: "done", skipped: expect.any(String) }]);
  },
);

test("the configured site and API version are requested", async () => {
  const { tableau, settings } = await start(desk);
  deps.tableau = { ...settings, site: "", apiVersion: "3.8" };
  await enqueue();
  // The server has another site and refuses this sign-in.
  expect(await handleNext()).toBe("dead letter");
  expect(tableau.requests.map(({ path }) => path)).toEqual(["/api/3.8/auth/signin"]);
  expect(tableau.requests[0]?.body).toContain('"site":{"contentUrl":""}');
});

test("content that is already queued in Tableau counts as refreshed, without a job", async () => {
  const { tableau, ids } = await start(three);
  tableau.queued.add(ids.get("Desk") ?? "").add(ids.get("Weekly") ?? "");
  await enqueue();
  expect(await handleNext()).toBe("done");
  const refreshed = [
    { kind: "data source", name: "Desk" },
    { kind: "data source", name: "Gates", jobId: uuid },
    { kind: "workbook", name: "Weekly" },
  ];
  expect(events).toEqual([{ type: "tableau.refreshed", detail: { ...ofRun, refreshed } }]);
  expect(tableau.steps.filter((step) => step === "job")).toHaveLength(1);
});

test.each([
  [job.failed, /data source "Desk" was not refreshed: Tableau's job failed\. \(job [\da-f-]{36}\)/],
  [job.canceled, /Tableau's job was canceled\..*replay the dead letter/],
])("a job that ends as %j is a dead letter", async (end, reason) => {
  const { tableau } = await start(desk);
  tableau.jobs([job.inProgress, end]);
  await enqueue();
  expect(await handleNext()).toBe("dead letter");
  await expectDeadLetter(reason, "TableauJobFailed");
  expect(tableau.sessions.size).toBe(0);
});

test("a failed refresh does not stop the others, and the reason names each", async () => {
  const { tableau } = await start({ ...three, workbooks: [{ name: "Weekly" }, { name: "Yearly" }] });
  tableau.jobs([job.failed], [job.inProgress, job.succeeded]);
  tableau.fail({ at: "find", kind: { status: 403 } });
  await enqueue();
  expect(await handleNext()).toBe("dead letter");
  expect(tableau.refreshed).toEqual(["Gates", "Weekly", "Yearly"]);
  await expectDeadLetter(
    /^The data source "Desk" was not refreshed: .* \(status 403\) \(code 403000\) The data source "Gates" in the project "Library" was not refreshed: .* The workbook "Weekly" was refreshed\. The workbook "Yearly" was refreshed\. .* \(run reference-transactions-0123456789ab\)$/,
    "TableauAccessDenied",
  );
});

test("the message is retried if one of several failures is transient", async () => {
  const { tableau } = await start(three);
  tableau.fail(
    { at: "find", kind: { status: 403 } },
    ...Array<Fault>(3).fill({ at: "refresh", kind: { status: 500 } }),
  );
  await enqueue();
  expect(await handleNext()).toBe("retried");
  expect(events).toEqual([]);
  expect(await handleNext()).toBe("done");
  expect(events).toMatchObject([{ type: "tableau.refreshed" }]);
  // The second delivery refreshes the workbook again.
  expect(tableau.refreshed).toEqual(["Weekly", "Desk", "Gates", "Weekly"]);
});

test("an unknown dataset is a dead letter", async () => {
  await start(desk);
  await enqueue({ ...published, dataset: "gate-counts" });
  expect(await handleNext()).toBe("dead letter");
  expect(events).toMatchObject([{ type: "tableau.failed", detail: { dataset: "gate-counts" } }]);
});

test("a refused token is a dead letter without a retry", async () => {
  const { tableau, settings } = await start(desk);
  deps.tableau = { ...settings, tokenName: "revoked" };
  await enqueue();
  expect(await handleNext()).toBe("dead letter");
  await expectDeadLetter(
    /refused the personal access token.*15 days.*\(status 401, code 401001\)/,
    "TableauTokenRefused",
  );
  expect(tableau.steps).toEqual(["signin"]);
});

test.each([
  ["hangs", /Tableau took too long to respond\./, "TableauTimeout"],
  ["does not run", /refused the connection.*TABLEAU_URL/, "TableauUnreachable"],
])("a Tableau that %s is reported once, at the receive limit", async (what, reason, error) => {
  const { tableau, settings } = await start(desk, { requestTimeoutMs: 20 });
  tableau.fail(...Array<Fault>(3 * receiveLimit).fill({ at: "signin", kind: "hang" }));
  if (what === "does not run") {
    const stopped = await startHttpServer((_, response) => response.end());
    await stopped.close();
    deps = { ...deps, tableau: { ...settings, url: stopped.url }, requestTimeoutMs: 1_000 };
  }
  await enqueue();
  for (let receive = 1; receive < receiveLimit; receive++) {
    expect(await handleNext()).toBe("retried");
    expect(events).toEqual([]);
  }
  expect(await handleNext()).toBe("dead letter");
  await expectDeadLetter(reason, error);
});

test("no log, event or dead letter contains the token or a session, whatever Tableau echoes", async () => {
  const { tableau } = await start(three);
  const kinds: Fault["kind"][] = [
    { status: 500 },
    { status: 403 },
    { status: 409, code: tokenSecret },
    { status: 307, headers: { location: `/${encodeURIComponent(tokenSecret)}` } },
    { status: 429, headers: { "retry-after": tokenSecret } },
    { json: { credentials: { token: tokenSecret, site: { id: tokenSecret } } } },
    { json: { job: { id: tokenSecret, finishCode: tokenSecret, completedAt: tokenSecret } } },
    "html",
    "broken JSON",
    "reset",
  ];
  for (const kind of kinds) {
    for (const at of ["signin", "find", "refresh", "job", "signout"] as const) {
      tableau.fail(...Array<Fault>(3).fill({ at, kind }));
      tableau.jobs([job.failed]);
      await enqueue();
      // Deliver the message until it ends, which uses up every fault.
      for (let receive = 1; receive <= receiveLimit; receive++) {
        if ((await handleNext()) !== "retried") break;
      }
    }
  }
  const text = JSON.stringify([events, await take(queuePair.deadLetters), logged]);
  for (const part of ["tableau.failed", "TableauAccessDenied", '"level":"WARN"', '"level":"ERROR"']) {
    expect(text).toContain(part);
  }
  expect(tableau.secrets().length).toBeGreaterThan(10);
  for (const secret of tableau.secrets()) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) {
      expect(text.includes(form), "a secret was repeated").toBe(false);
    }
  }
  expect(text).not.toContain("Planted");
});
