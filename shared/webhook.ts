// Posts messages to a channel of Slack or Microsoft Teams, as a second way to reach people beside email. The URL of an incoming
// webhook is its only credential, so it is in no log, error or event.
import { backoffMs, realClock } from "./clock.ts";
import { PipelineError } from "./errors.ts";
import {
  type HttpRequest,
  type HttpResponse,
  httpClient,
  isSuccess,
  retryAfterSeconds,
  statusFailure,
} from "./http.ts";
import type { Clock, Notification, Notify } from "./ports.ts";

const service = "Webhook";
const advice = {
  waits:
    "The message is in the email, or in .local/messages.txt on this machine. If this persists, check the status page of Slack or Teams.",
  refused:
    "Create the webhook again in Slack or Teams, and set the secret AlertsWebhookUrl to its URL, or ALERTS_WEBHOOK_URL for npm start.",
};

const maxAttempts = 3;
/** Limits each wait, even if the service asks for more. */
const maxWaitMs = 5_000;

/**
 * Slack accepts 40,000 characters and recommends at most 4,000. Teams accepts 28 KiB of JSON, in which a UTF-16 unit takes at
 * most 6 bytes.
 * https://docs.slack.dev/reference/methods/chat.postMessage#truncating
 * https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
 */
const maxBodyLength = 4_000;
const maxSubjectLength = 200;

/**
 * Returns a notifier that posts to a webhook. It retries twice, and ends after 25 seconds.
 * @param url returns the webhook's URL; undefined if messages are not posted
 * @param timeoutMs limits one request, including connection and body
 * @throws PipelineError `Webhook…`, and what `url` throws
 */
export function webhookNotifier(
  url: () => URL | undefined,
  { timeoutMs = 5_000, clock = realClock }: { timeoutMs?: number; clock?: Clock } = {},
): Notify {
  return async (notification) => {
    const webhook = url();
    if (!webhook) return;
    const { origin, pathname, search } = webhook;
    const send = httpClient({ service, baseUrl: origin, advice: advice.waits });
    const request: HttpRequest = {
      method: "POST",
      url: pathname + search,
      data: payloadOf(notification, isTeams(webhook)),
    };
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await send(request, timeoutMs);
        if (isSuccess(response.status)) return;
        throw refusal(response, clock.now());
      } catch (error) {
        const waitMs = retryWaitMs(error, attempt);
        if (waitMs === undefined) throw error;
        await clock.sleep(waitMs);
      }
    }
  };
}

/** Returns undefined if a retry cannot succeed, or would be too late. */
function retryWaitMs(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof PipelineError) || error.kind === "terminal" || attempt === maxAttempts)
    return undefined;
  const waitMs = Math.max(backoffMs(attempt), (error.retryAfterSeconds ?? 0) * 1_000);
  return waitMs > maxWaitMs ? undefined : waitMs;
}

function refusal({ status, headers }: HttpResponse, now: number): PipelineError {
  const { name, ...failure } = statusFailure(service, status, advice);
  return new PipelineError(name, {
    ...failure,
    retryAfterSeconds: retryAfterSeconds(headers["retry-after"], now),
  });
}

/** Returns whether a workflow of Teams (Power Automate) listens at the URL. Any other host gets Slack's format. */
export function isTeams({ hostname }: URL): boolean {
  return /\.(logic\.azure|powerplatform|powerautomate)\.com$/.test(hostname);
}

/** Returns the JSON for a message, whose text is cut if it is too long. */
export function payloadOf({ subject, body }: Notification, forTeams: boolean): object {
  const title = shortened(subject, maxSubjectLength);
  const text = shortened(body.trimEnd(), maxBodyLength);
  if (!forTeams) {
    // https://docs.slack.dev/messaging/formatting-message-text#escaping
    const plain = `${title}\n\n${text}`;
    return { text: plain.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;") };
  }
  // In a TextBlock only an empty line breaks the line.
  const lines = { type: "TextBlock", wrap: true, text: text.replaceAll("\n", "\n\n") };
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.2",
    body: [{ type: "TextBlock", wrap: true, weight: "Bolder", text: title }, lines],
  };
  const contentType = "application/vnd.microsoft.card.adaptive";
  return { type: "message", attachments: [{ contentType, contentUrl: null, content }] };
}

const cut = "… (the email has the rest)";

/** A cut may split a pair of UTF-16 units, which JSON could not hold. */
function shortened(text: string, max: number): string {
  return (text.length <= max ? text : text.slice(0, max - cut.length) + cut).toWellFormed();
}
