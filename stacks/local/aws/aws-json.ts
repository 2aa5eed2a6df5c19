// The AWS JSON 1.1 protocol as a server, for the services that nobody else runs locally (EventBridge, Athena, Glue).
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";
import { type LocalEndpoint, listenOnLoopback } from "./loopback.ts";
import { readBody } from "./request-body.ts";

/** One operation: the request's parsed JSON in, the answer's JSON value out. */
export type Operation = (input: unknown) => Promise<unknown>;

/** An answer that the SDK raises as an error named `code`. */
export class AwsJsonError extends Error {
  readonly code: string;
  readonly status: number;

  /**
   * @param code such as `ResourceNotFoundException`, as the service's API reference spells it
   * @param status 400 by default; the SDK tries a 5xx again
   */
  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = "AwsJsonError";
    this.code = code;
    this.status = status;
  }
}

/** An operation whose input has this shape; any other input is answered with `ValidationException`. */
export function operation<S extends z.ZodType>(
  shape: S,
  handle: (input: z.infer<S>) => Promise<unknown> | unknown,
): Operation {
  return async (input) => {
    const parsed = shape.safeParse(input);
    if (!parsed.success) throw new AwsJsonError("ValidationException", z.prettifyError(parsed.error));
    return await handle(parsed.data);
  };
}

// Larger than any request of these services: PutEvents carries 1 MiB, which JSON escapes can blow up sixfold.
const maxBodyBytes = 8 * 1024 * 1024;

/**
 * @param options.name what the service is called in a line on stderr
 * @param options.target the part of X-Amz-Target before the operation's name
 */
export async function startAwsJson(options: {
  name: string;
  target: "AWSEvents" | "AmazonAthena" | "AWSGlue";
  operations: Record<string, Operation>;
}): Promise<LocalEndpoint> {
  const operations = new Map(Object.entries(options.operations));
  const server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = String(request.headers["x-amz-target"] ?? "");
    try {
      const run = target.startsWith(`${options.target}.`)
        ? operations.get(target.slice(options.target.length + 1))
        : undefined;
      if (!run) {
        throw new AwsJsonError(
          "UnknownOperationException",
          `The local ${options.name} has no operation "${target}"; it knows ${[...operations.keys()].join(", ")}.`,
        );
      }
      send(response, 200, (await run(await readJson(request))) ?? {});
    } catch (error) {
      const known = error instanceof AwsJsonError ? error : internalFailure(options.name, target, error);
      response.setHeader("x-amzn-errortype", known.code);
      send(response, known.status, { __type: known.code, message: known.message });
    }
  }

  return listenOnLoopback(server);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request, maxBodyBytes);
  if (body === undefined) {
    throw new AwsJsonError(
      "RequestEntityTooLargeException",
      `A request has at most ${maxBodyBytes} bytes.`,
      413,
    );
  }
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new AwsJsonError("SerializationException", "The body is not JSON.");
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response
    .writeHead(status, {
      "content-type": "application/x-amz-json-1.1",
      "content-length": bytes.length,
      "x-amzn-requestid": randomUUID(),
    })
    .end(bytes);
}

function internalFailure(name: string, target: string, error: unknown): AwsJsonError {
  const what = error instanceof Error ? error.name : typeof error;
  process.stderr.write(`The local ${name} failed in ${target} (${what}).\n`);
  return new AwsJsonError("InternalFailure", `The local ${name} failed (${what}).`, 500);
}
