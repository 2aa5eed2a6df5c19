import { afterEach, expect, test, vi } from "vitest";
import { settings } from "../../../shared/aws/config.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.doUnmock("sst/resource");
});

test.each([
  ["BUS_NAME", "", settings.busName],
  ["BUS_NAME", undefined, settings.busName],
  ["LIBINSIGHT_BASE_URL", "vt.libinsight.com/MARKED", settings.libinsightBaseUrl],
  ["LIBINSIGHT_BASE_URL", "ftp://vt.libinsight.com/MARKED", settings.libinsightBaseUrl],
  ["LibInsightClientSecret", undefined, settings.libinsightClientSecret],
  ["TableauTokenSecret", undefined, settings.tableauTokenSecret],
  ["TABLEAU_TIMEOUT_MS", "MARKED", settings.tableauRequestTimeoutMs],
  ["TABLEAU_REFRESH_TIMEOUT_MS", "900000", settings.tableauRefreshTimeoutMs],
  ["TABLEAU_PAUSE_MS", "0", settings.tableauPauseMs],
  ["ATHENA_DATABASE", 'MARKED"; DROP', settings.athenaDatabase],
  ["ALERTS_TOPIC_ARN", "MARKED", settings.alertsTopic],
  ["STAGE", "", settings.stage],
  ["RETRY_BASE_SECONDS", "MARKED", settings.retryBaseSeconds],
  ["RETRY_BASE_SECONDS", "901", settings.retryBaseSeconds],
  ["INSTANCES", "MARKED", settings.instances],
  ["AUDIENCE", "MARKED", settings.audience],
  ["AUDIENCE", undefined, settings.audience],
  ["FETCHER_QUEUE_URL", "MARKED", () => settings.queueUrl("fetcher")],
  ["FETCHER_DEAD_LETTERS_URL", "MARKED", () => settings.deadLetterUrl("fetcher")],
])("refuses %s = %j with the name of the setting and without its value", (variable, value, read) => {
  vi.stubEnv(variable, value);
  expect(read).toThrow(
    expect.objectContaining({
      name: "ConfigurationMissing",
      kind: "terminal",
      ids: { variable },
      sentence: expect.not.stringContaining("MARKED"),
    }),
  );
});

test("reads a setting when it is used", () => {
  vi.stubEnv("TRANSFORMER_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/transformer");
  vi.stubEnv("LIBINSIGHT_BASE_URL", "https://vt.libinsight.com/v1.0");
  vi.stubEnv("RETRY_BASE_SECONDS", "5");
  vi.stubEnv("INSTANCES", "i-0123456789abcdef0,i-0123456789abcdef1");
  expect(settings.queueUrl("transformer")).toBe(
    "https://sqs.us-east-1.amazonaws.com/000000000000/transformer",
  );
  expect(settings.libinsightBaseUrl()).toBe("https://vt.libinsight.com/v1.0");
  expect(settings.retryBaseSeconds()).toBe(5);
  expect(settings.instances()).toEqual(["i-0123456789abcdef0", "i-0123456789abcdef1"]);
});

test("has defaults for the delays, and no instances", () => {
  const names = ["RETRY_BASE_SECONDS", "QUERY_CHECK_SECONDS", "INSTANCE_CHECK_SECONDS", "INSTANCES"];
  for (const name of names) vi.stubEnv(name, undefined);
  expect(settings.retryBaseSeconds()).toBe(30);
  expect(settings.queryCheckSeconds()).toBe(60);
  expect(settings.instanceCheckSeconds()).toBe(15);
  expect(settings.instances()).toBe("none");
});

/** Returns the settings of a function to which SST links this secret. */
async function withSecret(name: string, value: string) {
  vi.doMock("sst/resource", () => ({ Resource: { [name]: { value } } }));
  vi.resetModules();
  return (await import("../../../shared/aws/config.ts")).settings;
}

test.each([
  ["abc123\n", "abc123"],
  ["  abc 123 \r\n", "abc 123"],
])("the secret %j is read without the white space around it", async (value, expected) => {
  const { libinsightClientId } = await withSecret("LibInsightClientId", value);
  expect(libinsightClientId()).toBe(expected);
});

test.each([
  ["", undefined],
  ["  \n", undefined],
  ["https://hooks.slack.com/services/T/B/x\n", "https://hooks.slack.com/services/T/B/x"],
])("the webhook %j is the URL %s", async (value, expected) => {
  const { alertsWebhookUrl } = await withSecret("AlertsWebhookUrl", value);
  expect(alertsWebhookUrl()?.href).toBe(expected);
});

test("a stage that was deployed before the secret AlertsWebhookUrl existed has no webhook", () => {
  expect(settings.alertsWebhookUrl()).toBeUndefined();
});

test.each([["http://hooks.slack.com/MARKED"], ["MARKED"], ["https://hooks.slack.com/\nMARKED"]])(
  "the webhook %j is an error with the secret's name and without its value",
  async (value) => {
    const { alertsWebhookUrl } = await withSecret("AlertsWebhookUrl", value);
    expect(alertsWebhookUrl).toThrow(
      expect.objectContaining({
        name: "SecretUnusable",
        ids: { variable: "AlertsWebhookUrl" },
        sentence: expect.not.stringContaining("MARKED"),
      }),
    );
  },
);

test.each([["MARKED\nid"], ["MARKED\tid"], [" \n "]])(
  "the secret %j is an error with the secret's name and without its value",
  async (value) => {
    const { libinsightClientSecret } = await withSecret("LibInsightClientSecret", value);
    expect(libinsightClientSecret).toThrow(
      expect.objectContaining({
        name: "SecretUnusable",
        kind: "terminal",
        ids: { variable: "LibInsightClientSecret" },
        sentence: expect.not.stringContaining("MARKED"),
      }),
    );
  },
);
