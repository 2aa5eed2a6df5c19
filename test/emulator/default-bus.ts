// Events of AWS's own services on the account's default bus. Only AWS itself may send events whose source begins with
// `aws.`; emulators refuse them from other senders, as AWS does. So each rule on the default bus gets a twin, which
// matches another source and is SST's rule in everything else.
import { EventBridgeClient, type PutEventsCommandInput, PutRuleCommand } from "@aws-sdk/client-eventbridge";
import { z } from "zod";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { created } from "../stacks/stages.ts";
import { clientSettings, type Place } from "./clients.ts";
import type { Context } from "./create/context.ts";
import { putTarget, ruleInputs, targetInputs } from "./create/messaging.ts";

const pattern = z.looseObject({ source: z.array(z.string()) });

export function standInFor(source: string): string {
  return source.replace(/^aws\./, "stand-in.aws.");
}

export async function createTwins(graph: Graph, context: Context): Promise<void> {
  const targets = created(graph, "aws:cloudwatch/eventTarget:EventTarget").map(({ inputs }) =>
    targetInputs.parse(inputs),
  );
  for (const { inputs } of created(graph, "aws:cloudwatch/eventRule:EventRule")) {
    const rule = ruleInputs.parse(inputs);
    if (rule.eventBusName !== "default") continue;
    const { source, ...rest } = pattern.parse(JSON.parse(rule.eventPattern));
    const name = `stand-in-${rule.name}`.slice(0, 64);
    await context.clients.events.send(
      new PutRuleCommand({
        Name: name,
        EventBusName: rule.eventBusName,
        EventPattern: JSON.stringify({ ...rest, source: source.map(standInFor) }),
        State: rule.state,
      }),
    );
    for (const target of targets.filter((each) => each.rule === rule.name)) {
      await putTarget({ ...target, rule: name }, context);
    }
  }
}

/** Returns a client that replaces AWS's sources by their stand-ins. */
export function asAws(place: Place): EventBridgeClient {
  const client = new EventBridgeClient(clientSettings(place));
  client.middlewareStack.add(
    (next) => (args) => {
      if (!isPutEvents(args.input)) return next(args);
      const Entries = args.input.Entries?.map(({ Source = "", ...entry }) => ({
        ...entry,
        Source: standInFor(Source),
      }));
      return next(Object.assign({}, args, { input: { ...args.input, Entries } }));
    },
    { step: "initialize", name: "standIns" },
  );
  return client;
}

function isPutEvents(input: object): input is PutEventsCommandInput {
  return "Entries" in input;
}
