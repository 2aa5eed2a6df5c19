// The service from the event on the bus to the events that it tells: real queues, and a Tableau server over HTTP.
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { busPublisher } from "../../../shared/aws/bus.ts";
import { eventBridge, sqs } from "../../../shared/aws/clients.ts";
import { Queue } from "../../../shared/aws/queue.ts";
import { config } from "../../../shared/config.ts";
import { type DatasetInput, dataset as datasetSchema } from "../../../shared/dataset.ts";
import { findDataset } from "../../../shared/datasets.ts";
import { receiveLimit, type SqsHandler } from "../../../shared/sqs-handler.ts";
import { startEventSourceMapping } from "../../../stacks/local/event-source-mapping.ts";
import { startHttpServer } from "../../support/http-server.ts";
import { type LocalAws, startLocalAws, take, takeJson } from "../../support/local-aws.ts";
import { type Fault, job, startTableau, tokenSecret } from "../../support/tableau.ts";

let aws: LocalAws;
let handler: SqsHandler;
let queue: Queue;
let deadLetters: Queue;
beforeAll(async () => {
  process.env.SST_RESOURCE_TableauTokenSecret = JSON.stringify({ value: tokenSecret });
  aws = await startLocalAws();
  process.env.POWERTOOLS_LOG_LEVEL = "DEBUG";
  ({ handler } = await import("../../../services/tableau/handler.ts"));
  queue = aws.serviceQueue("tableau");
  deadLetters = new Queue(sqs(), config.deadLetterUrl("tableau"));
});
afterAll(() => aws?.close());
beforeEach(async () => {
  for (const each of [queue, deadLetters, aws.observer]) await take(each);
});

const dataset = findDataset("reference-transactions");
const ofRun = { runId: "reference-transactions-0123456789ab", dataset: dataset.name };
const published = {
  ...ofRun,
  queryExecutionId: "q",
  bucket: "results",
  key: "published/results.csv",
  rows: 12,
};

type Targets = NonNullable<DatasetInput["tableau"]>;
const desk: Targets = { dataSources: [{ name: "Desk" }] };
const three: Targets = {
  dataSources: [{ name: "Desk" }, { name: "Gates", project: "Library" }],
  workbooks: [{ name: "Weekly" }],
};

/** A Tableau that has what the dataset names, the environment that names Tableau, and what is logged. */
async function start(targets: Targets, settings: Record<string, string | undefined> = {}) {
  const tableau = await startTableau();
  const { dataSources = [], workbooks = [] } = targets;
  const ids = new Map([
    ...dataSources.map(({ name, project }) => [name, tableau.add("datasources", name, project)] as const),
    ...workbooks.map(({ name, project }) => [name, tableau.add("workbooks", name, project)] as const),
  ]);
  const environment = {
    TABLEAU_URL: tableau.url,
    TABLEAU_SITE: tableau.site,
    TABLEAU_TOKEN_NAME: tableau.tokenName,
    TABLEAU_TIMEOUT_MS: "1000",
    TABLEAU_PATIENCE_MS: "20000",
    TABLEAU_PAUSE_MS: "1",
    RETRY_BASE_SECONDS: "0",
    ...settings,
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  dataset.tableau = datasetSchema.shape.tableau.parse(targets);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    dataset.tableau = undefined;
  });
  return { tableau, ids, log: captureLog() };
}

/** The lines that Powertools writes. */
function captureLog(): { text(): string; lines(): unknown[] } {
  const written: string[] = [];
  const keep = (chunk: string | Uint8Array) => {
    written.push(String(chunk));
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(keep),
    vi.spyOn(process.stderr, "write").mockImplementation(keep),
  ];
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return { text: () => written.join(""), lines: () => written.map((line) => JSON.parse(line)) };
}

/** As the athena service tells it. */
async function publish(detail = published): Promise<void> {
  await busPublisher(eventBridge(), config.busName())("results.published", detail);
}

/** Receives one message as Lambda does. @returns what became of it */
async function receiveOne(): Promise<"done" | "retried" | "dead letter"> {
  const ended = Promise.withResolvers<"done" | "retried" | "dead letter">();
  const mapping = startEventSourceMapping({
    sqs: sqs(),
    queue: { url: queue.url, arn: "arn:aws:sqs:us-east-1:000000000000:tableau.fifo" },
    service: "tableau",
    handler,
    batchSize: 1,
    concurrency: 1,
    timeoutSeconds: 20,
    onBatch: ({ done, retried }) => {
      // Before the poller receives again.
      void mapping.stop();
      ended.resolve(done.length > 0 ? "done" : retried.length > 0 ? "retried" : "dead letter");
    },
    onError: ended.reject,
  });
  try {
    return await ended.promise;
  } finally {
    await mapping.stop();
  }
}

/** What the service told the bus since the last look. */
async function told(): Promise<{ type: string; detail: unknown }[]> {
  const event = z.object({ "detail-type": z.string(), detail: z.unknown() });
  const events = z.array(event).parse(await takeJson(aws.observer));
  return events
    .map(({ detail, ...envelope }) => ({ type: envelope["detail-type"], detail }))
    .filter(({ type }) => type.startsWith("tableau."));
}

/** The dead letters since the last look, with their group and their attributes. */
async function letters() {
  return (await take(deadLetters)).map(({ Body = "", Attributes, MessageAttributes = {} }) => ({
    detail: z.object({ detail: z.unknown() }).parse(JSON.parse(Body)).detail,
    group: Attributes?.MessageGroupId,
    error: MessageAttributes.Error?.StringValue,
    text: MessageAttributes.ErrorText?.StringValue,
  }));
}

/** The reason is the same for whoever hears the event and for whoever finds the dead letter. */
async function expectGivenUp(reason: RegExp, error: string): Promise<void> {
  const [letter, ...others] = await letters();
  expect(others).toEqual([]);
  expect(letter).toMatchObject({ detail: published, group: "tableau", error });
  expect(letter?.text).toMatch(reason);
  expect(await told()).toEqual([{ type: "tableau.failed", detail: { ...ofRun, reason: letter?.text } }]);
}

const uuid = expect.stringMatching(/^[\da-f-]{36}$/);

test("published results refresh what the dataset names, one session for all, and its end is told", async () => {
  const { tableau, log } = await start(three);
  tableau.jobs(
    [job.pending, job.underWay, job.underWay, job.succeeded],
    [job.succeeded],
    [job.underWay, job.doneByBridge],
  );
  await publish();
  expect(await receiveOne()).toBe("done");

  expect(tableau.refreshed).toEqual(["Desk", "Gates", "Weekly"]);
  expect(await told()).toEqual([
    {
      type: "tableau.refreshed",
      detail: {
        ...ofRun,
        refreshed: [
          { kind: "data source", name: "Desk", jobId: uuid },
          { kind: "data source", name: "Gates", jobId: uuid },
          { kind: "workbook", name: "Weekly", jobId: uuid },
        ],
      },
    },
  ]);
  expect(tableau.steps.filter((step) => !["job"].includes(step))).toEqual([
    "signin",
    "find datasources",
    "refresh datasources",
    "find datasources",
    "refresh datasources",
    "find workbooks",
    "refresh workbooks",
    "signout",
  ]);
  // Every job until it has ended, and no further.
  expect(tableau.steps.filter((step) => step === "job")).toHaveLength(4 + 1 + 2);
  expect(tableau.sessions.size).toBe(0);
  expect(log.lines()).toMatchObject([{ message: "done", run: ofRun.runId, refreshed: 3 }]);
});

test.each([
  ["no Tableau is configured", desk, { TABLEAU_URL: "", TABLEAU_SITE: "", TABLEAU_TOKEN_NAME: "" }],
  ["the dataset names nothing", undefined, {}],
])("where %s it says so in a line, and nothing else happens", async (_, targets, settings) => {
  const { tableau, log } = await start(desk, settings);
  if (!targets) dataset.tableau = undefined;
  await publish();
  expect(await receiveOne()).toBe("done");
  expect(tableau.requests).toEqual([]);
  expect(await told()).toEqual([]);
  expect(await letters()).toEqual([]);
  expect(log.lines()).toMatchObject([{ level: "INFO", message: "done", skipped: expect.any(String) }]);
});

test("the default site and an API of one's own are asked for as they are set", async () => {
  const { tableau } = await start(desk, { TABLEAU_SITE: undefined, TABLEAU_API_VERSION: "3.8" });
  await publish();
  // The fake has a site of its own, so that this one's sign-in is refused.
  expect(await receiveOne()).toBe("dead letter");
  expect(tableau.requests.map(({ path }) => path)).toEqual(["/api/3.8/auth/signin"]);
  expect(tableau.requests[0]?.body).toContain('"site":{"contentUrl":""}');
});

test("what waits in Tableau's queue already is refreshed, without a job", async () => {
  const { tableau, ids } = await start(three);
  tableau.queued.add(ids.get("Desk") ?? "").add(ids.get("Weekly") ?? "");
  await publish();
  expect(await receiveOne()).toBe("done");
  expect(await told()).toMatchObject([
    {
      type: "tableau.refreshed",
      detail: {
        refreshed: [
          { kind: "data source", name: "Desk" },
          { kind: "data source", name: "Gates", jobId: uuid },
          { kind: "workbook", name: "Weekly" },
        ],
      },
    },
  ]);
  expect(tableau.steps.filter((step) => step === "job")).toHaveLength(1);
});

test.each([
  [job.failed, /data source "Desk" was not refreshed: Tableau's job failed\. \(job [\da-f-]{36}\)/],
  [job.cancelled, /Tableau's job was cancelled\..*replay the dead letter/],
])("a job that ends as %j is told, and its message kept", async (end, reason) => {
  const { tableau } = await start(desk);
  tableau.jobs([job.underWay, end]);
  await publish();
  expect(await receiveOne()).toBe("dead letter");
  await expectGivenUp(reason, "TableauJobFailed");
  expect(tableau.sessions.size).toBe(0);
});

test("what does not come to its end in the time that it has comes back", async () => {
  const { tableau } = await start(desk, { TABLEAU_PATIENCE_MS: "1" });
  await publish();
  expect(await receiveOne()).toBe("retried");
  expect(tableau.steps).not.toContain("job");
});

test("of several one that fails keeps no other from being refreshed, and each is told", async () => {
  const { tableau } = await start({ ...three, workbooks: [{ name: "Weekly" }, { name: "Yearly" }] });
  tableau.jobs([job.failed], [job.underWay, job.succeeded]);
  tableau.fail({ at: "find", kind: { status: 403 } });
  await publish();
  expect(await receiveOne()).toBe("dead letter");
  expect(tableau.refreshed).toEqual(["Gates", "Weekly", "Yearly"]);
  await expectGivenUp(
    /^The data source "Desk" was not refreshed: .* \(status 403\) \(code 403000\) The data source "Gates" of the project "Library" was not refreshed: .* The workbook "Weekly" was refreshed\. The workbook "Yearly" was refreshed\. .* \(run reference-transactions-0123456789ab\)$/,
    "TableauAccessDenied",
  );
});

test("what may pass brings the message back, even beside what can't", async () => {
  const { tableau } = await start(three);
  tableau.fail(
    { at: "find", kind: { status: 403 } },
    ...Array<Fault>(3).fill({ at: "refresh", kind: { status: 500 } }),
  );
  await publish();
  expect(await receiveOne()).toBe("retried");
  expect(await told()).toEqual([]);
  expect(await receiveOne()).toBe("done");
  expect(await told()).toMatchObject([{ type: "tableau.refreshed" }]);
  // The workbook twice: what is delivered twice is done twice.
  expect(tableau.refreshed).toEqual(["Weekly", "Desk", "Gates", "Weekly"]);
});

test("a name that Tableau does not have is told, and the session ended", async () => {
  const { tableau } = await start(desk);
  dataset.tableau = { dataSources: [{ name: "Désk" }], workbooks: [] };
  await publish();
  expect(await receiveOne()).toBe("dead letter");
  await expectGivenUp(/no data source "Désk".*shared\/datasets\.ts/, "TableauContentMissing");
  expect(tableau.sessions.size).toBe(0);
});

test("a dataset that nobody knows is told", async () => {
  await start(desk);
  await publish({ ...published, dataset: "gate-counts" });
  expect(await receiveOne()).toBe("dead letter");
  expect(await told()).toMatchObject([{ type: "tableau.failed", detail: { dataset: "gate-counts" } }]);
});

test("a token that Tableau refuses is told at once", async () => {
  const { tableau } = await start(desk, { TABLEAU_TOKEN_NAME: "revoked" });
  await publish();
  expect(await receiveOne()).toBe("dead letter");
  await expectGivenUp(
    /refused the personal access token.*15 days.*\(status 401, code 401001\)/,
    "TableauTokenRefused",
  );
  expect(tableau.steps).toEqual(["signin"]);
});

test("settings that are only half there are told", async () => {
  await start(desk, { TABLEAU_TOKEN_NAME: "" });
  await publish();
  expect(await receiveOne()).toBe("dead letter");
  await expectGivenUp(/TABLEAU_TOKEN_NAME must be set too/, "TableauHalfConfigured");
});

test("a session that ends while a job is followed is renewed, and the same job followed on", async () => {
  const { tableau } = await start(desk);
  tableau.jobs([job.underWay, job.underWay, job.succeeded]);
  tableau.before("job", () => {});
  tableau.before("job", () => tableau.sessions.clear());
  await publish();
  expect(await receiveOne()).toBe("done");
  expect(tableau.refreshed).toEqual(["Desk"]);
  expect(tableau.steps.filter((step) => step === "signin")).toHaveLength(2);
  expect(tableau.sessions.size).toBe(0);
});

/** Each is one of the things that may befall any request, on every try of it. */
const troubles: Fault["kind"][] = [
  { status: 500 },
  { status: 429, headers: { "retry-after": "0" } },
  "html",
  "broken JSON",
  { json: { unknown: true } },
  "reset",
];
test.each(troubles)("%j at each step in turn brings the message back, until it succeeds", async (kind) => {
  const { tableau } = await start(desk);
  await publish();
  for (const at of ["signin", "find", "refresh", "job"] as const) {
    tableau.fail(...triesOf(at, kind));
    expect(await receiveOne()).toBe("retried");
    expect(await told()).toEqual([]);
    expect(tableau.sessions.size).toBe(0);
  }
  expect(await receiveOne()).toBe("done");
  expect(await told()).toMatchObject([{ type: "tableau.refreshed" }]);
  expect(await letters()).toEqual([]);
});

/** What can't be read is not asked for again at once. */
function triesOf(at: Fault["at"], kind: Fault["kind"]): Fault[] {
  const isAskedAgain = kind === "reset" || (typeof kind === "object" && "status" in kind);
  return Array<Fault>(isAskedAgain ? 3 : 1).fill({ at, kind });
}

test("a Tableau that hangs to the last receive is told once, when the message is given up", async () => {
  const { tableau } = await start(desk, { TABLEAU_TIMEOUT_MS: "20" });
  tableau.fail(...Array<Fault>(3 * receiveLimit).fill({ at: "signin", kind: "hang" }));
  await publish();
  for (let receive = 1; receive < receiveLimit; receive++) {
    expect(await receiveOne()).toBe("retried");
    expect(await told()).toEqual([]);
  }
  expect(await receiveOne()).toBe("dead letter");
  await expectGivenUp(/Tableau took too long to respond\./, "TableauTimeout");
});

test("a Tableau that nobody runs is told by the setting that names it", async () => {
  const gone = await startHttpServer((_, response) => response.end());
  await gone.close();
  await start(desk, { TABLEAU_URL: gone.url });
  await publish();
  for (let receive = 1; receive < receiveLimit; receive++) expect(await receiveOne()).toBe("retried");
  expect(await receiveOne()).toBe("dead letter");
  await expectGivenUp(/refused the connection.*TABLEAU_URL/, "TableauUnreachable");
});

test("the results of two datasets are taken one after the other", async () => {
  await publish();
  await publish({ ...published, dataset: "gate-counts" });
  const [first, ...others] = await queue.receive({ hiddenSeconds: 60, waitSeconds: 1 });
  expect(first?.Body).toContain("reference-transactions");
  expect(others).toEqual([]);
  expect(await queue.receive({ hiddenSeconds: 60, waitSeconds: 1 })).toEqual([]);
  await queue.remove(first?.ReceiptHandle ?? "");
  expect(await takeJson(queue)).toMatchObject([{ detail: { dataset: "gate-counts" } }]);
});

test("a message that can't be read is kept, and tells no event", async () => {
  await start(desk);
  await queue.send("{}", { groupId: "tableau", deduplicationId: "unreadable" });
  expect(await receiveOne()).toBe("dead letter");
  expect(await told()).toEqual([]);
});

test("neither the token nor a session is in a log, an event, an error or a dead letter, whatever Tableau echoes", async () => {
  const { tableau, log } = await start(three);
  const said: unknown[] = [];
  const kinds: Fault["kind"][] = [
    { status: 500 },
    { status: 403 },
    { status: 409, code: `${tokenSecret}` },
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
      await publish();
      // To its end, whichever it is; each fault is used up on the way.
      for (let receive = 1; receive <= receiveLimit; receive++) {
        if ((await receiveOne()) !== "retried") break;
      }
    }
    said.push(await told(), await letters());
  }
  const text = JSON.stringify(said) + log.text();
  expect(text).toContain("tableau.failed");
  expect(text).toContain("TableauAccessDenied");
  expect(log.text()).toContain('"level":"WARN"');
  expect(log.text()).toContain('"level":"ERROR"');
  expect(tableau.secrets().length).toBeGreaterThan(10);
  for (const secret of tableau.secrets()) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) {
      expect(text.includes(form), "a secret was repeated").toBe(false);
    }
  }
  expect(text).not.toContain("Planted");
});
