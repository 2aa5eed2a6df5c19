// Faults in the SDK's middleware: a test stands between a client and its server, or responds in its place.
import type { __Client, __MetadataBearer as MetadataBearer } from "@aws-sdk/client-s3";

/** Any of the SDK's clients. */
type Client<I extends object, O extends MetadataBearer> = Pick<
  __Client<never, I, O, never>,
  "middlewareStack"
>;

/**
 * Calls `around` for each attempt of each call. The SDK retries what it throws as it retries the errors of a server.
 * @param around sends the request with `send`, or does not
 */
export function intercept<I extends object, O extends MetadataBearer>(
  client: Client<I, O>,
  around: (call: { command: string; input: I }, send: () => Promise<O>) => Promise<O>,
): void {
  client.middlewareStack.add(
    (next, { commandName = "" }) =>
      async ({ input, request }) => {
        let response: unknown = {};
        const output = await around({ command: commandName.replace(/Command$/, ""), input }, async () => {
          const result = await next({ input, request });
          if (!result.output) throw new Error(`${commandName} has no output.`);
          response = result.response;
          return result.output;
        });
        return { output, response };
      },
    { step: "deserialize", priority: "high" },
  );
}

/** The request never took effect. */
export function throttling(): Error {
  return Object.assign(new Error("Rate exceeded"), {
    name: "ThrottlingException",
    $fault: "client",
    $metadata: { httpStatusCode: 400 },
  });
}

/** What the SDK throws where the connection broke before the response arrived. */
export function connectionLost(): Error {
  return Object.assign(new Error("socket hang up"), { name: "TimeoutError", code: "ECONNRESET" });
}

/** Throttles the first attempt of every twentieth call. */
export function throttleSome<I extends object, O extends MetadataBearer>(client: Client<I, O>): void {
  let calls = 0;
  const throttled = new WeakSet<object>();
  intercept(client, ({ input }, send) => {
    if (throttled.has(input)) return send();
    calls += 1;
    if (calls % 20 !== 0) return send();
    throttled.add(input);
    throw throttling();
  });
}

/** Loses the response to the first call of a command: it took effect, and the SDK sends it again. */
export function loseResponse<I extends object, O extends MetadataBearer>(
  client: Client<I, O>,
  lost: string,
): void {
  let isLost = false;
  intercept(client, async ({ command }, send) => {
    const output = await send();
    if (isLost || command !== lost) return output;
    isLost = true;
    throw connectionLost();
  });
}

/** Of a client whose calls all end in `intercept`. One that is not fails at once. */
export const offline = {
  endpoint: "http://127.0.0.1:9",
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
};
