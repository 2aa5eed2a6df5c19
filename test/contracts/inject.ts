// Injects faults into the middleware of the AWS SDK: a test can respond instead of the server, or drop a response.
import type { __Client, __MetadataBearer as MetadataBearer } from "@aws-sdk/client-s3";

/** Any client of the SDK. */
type Client<I extends object, O extends MetadataBearer> = Pick<
  __Client<never, I, O, never>,
  "middlewareStack"
>;

/**
 * Calls `around` for each attempt of each call. The SDK retries errors that it throws like errors of a server.
 * @param around may send the request with `send`
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

/** Returns the error of a request that had no effect. */
function throttling(): Error {
  return Object.assign(new Error("Rate exceeded"), {
    name: "ThrottlingException",
    $fault: "client",
    $metadata: { httpStatusCode: 400 },
  });
}

/** Returns the SDK's error for a connection that is lost before the response. */
function connectionLost(): Error {
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

/** Drops the response to the first call of a command, which has taken effect. The SDK sends the request again. */
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

/** Options of a client whose calls are all intercepted. Any other call fails at once. */
export const offline = {
  endpoint: "http://127.0.0.1:9",
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
};
