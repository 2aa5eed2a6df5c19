import { afterEach, expect, test, vi } from "vitest";
import { config } from "../../shared/config.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  ["BUS_NAME", "", config.busName],
  ["BUS_NAME", undefined, config.busName],
  ["LIBINSIGHT_BASE_URL", "vt.libinsight.com/MARKED", config.libinsightBaseUrl],
  ["LIBINSIGHT_BASE_URL", "ftp://vt.libinsight.com/MARKED", config.libinsightBaseUrl],
  ["LibInsightClientSecret", undefined, config.libinsightClientSecret],
  ["TableauTokenSecret", undefined, config.tableauTokenSecret],
  ["TABLEAU_TIMEOUT_MS", "MARKED", config.tableauTimeoutMs],
  ["TABLEAU_PATIENCE_MS", "900000", config.tableauPatienceMs],
  ["TABLEAU_PAUSE_MS", "0", config.tableauPauseMs],
  ["ATHENA_DATABASE", 'MARKED"; DROP', config.athenaDatabase],
  ["ALERTS_TOPIC_ARN", "MARKED", config.alertsTopic],
  ["STAGE", "", config.stage],
  ["RETRY_BASE_SECONDS", "MARKED", config.retryBaseSeconds],
  ["RETRY_BASE_SECONDS", "901", config.retryBaseSeconds],
  ["FETCHER_QUEUE_URL", "MARKED", () => config.queueUrl("fetcher")],
  ["FETCH_DEAD_LETTERS_URL", "MARKED", () => config.deadLetterUrl("fetcher")],
])("%s that is %j is named, and its value is not repeated", (variable, value, read) => {
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

test("a setting is read when it is asked for", () => {
  vi.stubEnv("PAGES_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/pages");
  vi.stubEnv("LIBINSIGHT_BASE_URL", "https://vt.libinsight.com/v1.0");
  vi.stubEnv("RETRY_BASE_SECONDS", "5");

  expect(config.queueUrl("transformer")).toBe("https://sqs.us-east-1.amazonaws.com/000000000000/pages");
  expect(config.libinsightBaseUrl()).toBe("https://vt.libinsight.com/v1.0");
  expect(config.retryBaseSeconds()).toBe(5);
});

test("without a setting a failed message waits half a minute first", () => {
  vi.stubEnv("RETRY_BASE_SECONDS", undefined);
  expect(config.retryBaseSeconds()).toBe(30);
});
