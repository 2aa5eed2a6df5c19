// EventBridge for one machine: buses, rules with event patterns, and SQS queues as targets, as the AWS SDK
// speaks to them. What it can't do it refuses; it never takes an event or a rule and then does less.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/Welcome.html
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { AwsJsonError, operation, startAwsJson } from "./aws-json.ts";
import { EventPatternError, parseEventPattern } from "./event-pattern.ts";
import { openJsonFile } from "./json-file.ts";
import type { LocalEndpoint } from "./loopback.ts";
import { createQueueSender, queueArn } from "./queue-targets.ts";

const account = "000000000000";
const defaultBus = "default";

// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const maxTargetsOfRule = 5;
const maxRulesOfBus = 300;
const maxBuses = 100;
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
const maxEntries = 10;
const maxEntriesBytes = 1024 * 1024;
const pageSize = 100;

// Beside the SDK's own three tries. AWS goes on for a day; here somebody waits.
const retryDelaysMs = [200, 1_000];

const target = z.strictObject({
  Id: z.string().regex(/^[.\-_A-Za-z0-9]{1,64}$/),
  Arn: z.string().regex(queueArn, "the local EventBridge delivers to SQS queues only"),
  SqsParameters: z.strictObject({ MessageGroupId: z.string().min(1).max(128).optional() }).optional(),
  DeadLetterConfig: z.strictObject({ Arn: z.string().regex(queueArn).optional() }).optional(),
  RetryPolicy: z
    .strictObject({
      MaximumRetryAttempts: z.int().min(0).max(185).optional(),
      MaximumEventAgeInSeconds: z.int().min(60).max(86_400).optional(),
    })
    .optional(),
});
type Target = z.infer<typeof target>;

const rule = z.strictObject({
  Name: z.string(),
  EventBusName: z.string(),
  EventPattern: z.string(),
  State: z.enum(["ENABLED", "DISABLED"]),
  Description: z.string().optional(),
  targets: z.array(target),
});
type Rule = z.infer<typeof rule>;

/** What is kept on disk. */
const memory = z.strictObject({
  buses: z.record(z.string(), z.strictObject({ createdAt: z.number(), Description: z.string().optional() })),
  rules: z.array(rule),
});

const name = (max: number) => z.string().regex(new RegExp(`^[.\\-_A-Za-z0-9]{1,${max}}$`));
/** A bus by its name or its ARN. */
const busName = z.string().min(1).max(1_600).default(defaultBus).transform(lastOf);
const paging = { Limit: z.int().min(1).max(pageSize).default(pageSize), NextToken: z.string().optional() };

const eventEntry = z.object({
  Source: z.string().optional(),
  DetailType: z.string().optional(),
  Detail: z.string().optional(),
  EventBusName: busName,
  Resources: z.array(z.string()).default([]),
  /** Seconds since 1970. */
  Time: z.number().optional(),
});
type EventEntry = z.infer<typeof eventEntry>;

/**
 * @param options.dataDir where buses, rules and targets are kept (`eventbridge.json`)
 * @param options.sqs delivers the events
 */
export async function startEventBridge(options: { dataDir: string; sqs: SQSClient }): Promise<LocalEndpoint> {
  const file = await openJsonFile(join(options.dataDir, "eventbridge.json"), memory, {
    buses: { [defaultBus]: { createdAt: Date.now() / 1_000 } },
    rules: [],
  });
  const deliver = createQueueSender(options.sqs);
  const region = await options.sqs.config.region();
  const closing = new AbortController();

  const arnOf = (resource: string): string => `arn:aws:events:${region}:${account}:${resource}`;
  const busArn = (bus: string): string => arnOf(`event-bus/${bus}`);
  const ruleArn = ({ EventBusName, Name }: Rule): string =>
    arnOf(EventBusName === defaultBus ? `rule/${Name}` : `rule/${EventBusName}/${Name}`);

  function requireBus(bus: string) {
    const found = Object.hasOwn(file.value.buses, bus) ? file.value.buses[bus] : undefined;
    if (found) return found;
    throw new AwsJsonError("ResourceNotFoundException", `Event bus ${bus} does not exist.`);
  }

  function requireRule(bus: string, ruleName: string): Rule {
    requireBus(bus);
    const found = rulesOf(bus).find(({ Name }) => Name === ruleName);
    if (found) return found;
    throw new AwsJsonError(
      "ResourceNotFoundException",
      `Rule ${ruleName} does not exist on EventBus ${bus}.`,
    );
  }

  const rulesOf = (bus: string): Rule[] =>
    file.value.rules.filter(({ EventBusName }) => EventBusName === bus);

  /** Puts the rule in place of the one of its name, or adds it. */
  async function keepRule(kept: Rule): Promise<void> {
    const others = file.value.rules.filter(
      ({ EventBusName, Name }) => EventBusName !== kept.EventBusName || Name !== kept.Name,
    );
    await file.replace({ ...file.value, rules: [...others, kept] });
  }

  const describe = (described: Rule) => {
    const { targets: _targets, ...shown } = described;
    return { ...shown, Arn: ruleArn(described) };
  };

  /** The event as targets get it. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html */
  function envelope(entry: ValidEntry) {
    return {
      version: "0",
      id: randomUUID(),
      "detail-type": entry.DetailType,
      source: entry.Source,
      account,
      time: new Date((entry.Time ?? Date.now() / 1_000) * 1_000).toISOString().replace(/\.\d+Z$/, "Z"),
      region,
      resources: entry.Resources,
      detail: entry.detail,
    };
  }

  /** Takes one entry. Its targets get the event before the answer, as nothing else would remember it. */
  async function putEvent(entry: EventEntry) {
    const checked = checkEntry(entry);
    if ("ErrorCode" in checked) return checked;
    if (!Object.hasOwn(file.value.buses, entry.EventBusName)) {
      return {
        ErrorCode: "ResourceNotFoundException",
        ErrorMessage: `Event bus ${entry.EventBusName} does not exist.`,
      };
    }
    const event = envelope(checked);
    const taking = rulesOf(entry.EventBusName).filter(
      ({ State, EventPattern }) => State === "ENABLED" && parseEventPattern(EventPattern)(event),
    );
    const body = JSON.stringify(event);
    await Promise.all(
      taking.flatMap((taker) => taker.targets.map((one) => deliverOrTell(taker, one, event.id, body))),
    );
    return { EventId: event.id };
  }

  /** Never rejects: an event that can't be delivered goes to the target's dead-letter queue, or to stderr. */
  async function deliverOrTell(taker: Rule, to: Target, eventId: string, body: string): Promise<void> {
    const delays = retryDelaysMs.slice(0, to.RetryPolicy?.MaximumRetryAttempts);
    try {
      await withRetries(delays, closing.signal, () =>
        deliver({ arn: to.Arn, body, messageGroupId: to.SqsParameters?.MessageGroupId }),
      );
    } catch (error) {
      const why = error instanceof Error ? error.name : typeof error;
      const deadLetters = to.DeadLetterConfig?.Arn;
      const attributes = {
        RULE_ARN: ruleArn(taker),
        TARGET_ARN: to.Arn,
        ERROR_CODE: why,
        RETRY_ATTEMPTS: String(delays.length),
      };
      const kept =
        deadLetters !== undefined &&
        (await deliver({ arn: deadLetters, body, attributes }).then(
          () => true,
          () => false,
        ));
      if (!kept) {
        process.stderr.write(
          `The local EventBridge could not deliver event ${eventId} of rule ${taker.Name} to ${to.Arn} (${why}); ` +
            "see that the queue exists, then send the event again.\n",
        );
      }
    }
  }

  const server = await startAwsJson({
    name: "EventBridge",
    target: "AWSEvents",
    operations: {
      CreateEventBus: operation(
        z.strictObject({
          Name: name(256),
          Description: z.string().max(512).optional(),
          Tags: z.unknown().optional(),
        }),
        async ({ Name, Description }) => {
          if (Object.hasOwn(file.value.buses, Name)) {
            throw new AwsJsonError("ResourceAlreadyExistsException", `Event bus ${Name} already exists.`);
          }
          if (Object.keys(file.value.buses).length >= maxBuses) {
            throw new AwsJsonError("LimitExceededException", `There are at most ${maxBuses} event buses.`);
          }
          const bus = { createdAt: Date.now() / 1_000, Description };
          await file.replace({ ...file.value, buses: { ...file.value.buses, [Name]: bus } });
          return { EventBusArn: busArn(Name), Description };
        },
      ),

      DescribeEventBus: operation(z.strictObject({ Name: busName }), ({ Name }) => {
        const { createdAt, Description } = requireBus(Name);
        return { Name, Arn: busArn(Name), CreationTime: createdAt, LastModifiedTime: createdAt, Description };
      }),

      PutRule: operation(
        z.strictObject({
          Name: name(64),
          EventBusName: busName,
          EventPattern: z.string({ error: "the local EventBridge has rules with an EventPattern only" }),
          State: z.enum(["ENABLED", "DISABLED"]).default("ENABLED"),
          Description: z.string().max(512).optional(),
          Tags: z.unknown().optional(),
        }),
        async ({ Tags: _tags, ...put }) => {
          requireBus(put.EventBusName);
          requirePattern(put.EventPattern);
          const rules = rulesOf(put.EventBusName);
          const earlier = rules.find(({ Name }) => Name === put.Name);
          if (!earlier && rules.length >= maxRulesOfBus) {
            throw new AwsJsonError("LimitExceededException", `A bus has at most ${maxRulesOfBus} rules.`);
          }
          const kept = { ...put, targets: earlier?.targets ?? [] };
          await keepRule(kept);
          return { RuleArn: ruleArn(kept) };
        },
      ),

      DescribeRule: operation(
        z.strictObject({ Name: z.string(), EventBusName: busName }),
        ({ Name, EventBusName }) => describe(requireRule(EventBusName, Name)),
      ),

      ListRules: operation(
        z.strictObject({ EventBusName: busName, NamePrefix: z.string().default(""), ...paging }),
        ({ EventBusName, NamePrefix, Limit, NextToken }) => {
          requireBus(EventBusName);
          const rules = rulesOf(EventBusName).filter(({ Name }) => Name.startsWith(NamePrefix));
          const { items, next } = page(rules, Limit, NextToken);
          return { Rules: items.map(describe), NextToken: next };
        },
      ),

      PutTargets: operation(
        z.strictObject({
          Rule: z.string(),
          EventBusName: busName,
          Targets: z.array(target).min(1).max(100),
        }),
        async ({ Rule, EventBusName, Targets }) => {
          const found = requireRule(EventBusName, Rule);
          for (const { Id, Arn, SqsParameters } of Targets) {
            if (Arn.endsWith(".fifo") !== (SqsParameters?.MessageGroupId !== undefined)) {
              throw new AwsJsonError(
                "ValidationException",
                `SqsParameters with a MessageGroupId belong to FIFO queues, and to them only: target ${Id}.`,
              );
            }
          }
          const byId = new Map([...found.targets, ...Targets].map((one) => [one.Id, one]));
          const targets = [...byId.values()];
          if (targets.length > maxTargetsOfRule) {
            throw new AwsJsonError(
              "LimitExceededException",
              `A rule has at most ${maxTargetsOfRule} targets.`,
            );
          }
          await keepRule({ ...found, targets });
          return { FailedEntryCount: 0, FailedEntries: [] };
        },
      ),

      ListTargetsByRule: operation(
        z.strictObject({ Rule: z.string(), EventBusName: busName, ...paging }),
        ({ Rule, EventBusName, Limit, NextToken }) => {
          const { items, next } = page(requireRule(EventBusName, Rule).targets, Limit, NextToken);
          return { Targets: items, NextToken: next };
        },
      ),

      PutEvents: operation(
        z.strictObject({ Entries: z.array(eventEntry).min(1).max(maxEntries) }),
        async ({ Entries }) => {
          if (Entries.reduce((bytes, entry) => bytes + sizeOf(entry), 0) > maxEntriesBytes) {
            throw new AwsJsonError(
              "ValidationException",
              "Total size of the entries in the request is over the limit.",
            );
          }
          const results = await Promise.all(Entries.map(putEvent));
          return {
            FailedEntryCount: results.filter((result) => "ErrorCode" in result).length,
            Entries: results,
          };
        },
      ),
    },
  });

  return {
    endpoint: server.endpoint,
    async close() {
      closing.abort();
      await server.close();
    },
  };
}

type ValidEntry = EventEntry & { Source: string; DetailType: string; detail: object };
type EntryError = { ErrorCode: string; ErrorMessage: string };

/** The checks that EventBridge answers in the entry's result. (It keeps the sources `aws.` to AWS; here they are fine.) */
function checkEntry(entry: EventEntry): ValidEntry | EntryError {
  const { Source, DetailType, Detail } = entry;
  if (!Source) return missing("Source");
  if (!DetailType) return missing("DetailType");
  if (!Detail) return missing("Detail");
  try {
    const detail: unknown = JSON.parse(Detail);
    if (typeof detail === "object" && detail !== null && !Array.isArray(detail)) {
      return { ...entry, Source, DetailType, detail };
    }
  } catch {
    // Told below, together with JSON that is not an object.
  }
  return { ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed." };
}

function missing(parameter: string): EntryError {
  return {
    ErrorCode: "InvalidArgument",
    ErrorMessage: `Parameter ${parameter} is not valid. Reason: ${parameter} is a required argument.`,
  };
}

/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html: the sum over an entry's texts. */
function sizeOf({ Source = "", DetailType = "", Detail = "", Resources, Time }: EventEntry): number {
  const texts = [Source, DetailType, Detail, ...Resources].map((text) => Buffer.byteLength(text));
  return texts.reduce((sum, bytes) => sum + bytes, Time === undefined ? 0 : 14);
}

function requirePattern(pattern: string): void {
  try {
    parseEventPattern(pattern);
  } catch (error) {
    if (!(error instanceof EventPatternError)) throw error;
    throw new AwsJsonError(
      "InvalidEventPatternException",
      `Event pattern is not valid. Reason: ${error.message}`,
    );
  }
}

/** Tries once, and again after each delay. @throws the last try's error */
async function withRetries(
  delaysMs: readonly number[],
  signal: AbortSignal,
  run: () => Promise<void>,
): Promise<void> {
  for (const delay of delaysMs) {
    try {
      return await run();
    } catch (error) {
      if (signal.aborted) throw error;
      await sleep(delay, undefined, { signal }).catch(() => undefined);
    }
  }
  await run();
}

/** A token is the index at which the next page starts. */
function page<T>(all: readonly T[], limit: number, token = "0"): { items: T[]; next: string | undefined } {
  if (!/^\d{1,9}$/.test(token)) throw new AwsJsonError("ValidationException", "NextToken is not valid.");
  const end = Number(token) + limit;
  return { items: all.slice(Number(token), end), next: end < all.length ? String(end) : undefined };
}

function lastOf(nameOrArn: string): string {
  return nameOrArn.slice(nameOrArn.lastIndexOf("/") + 1);
}
