// Issues bearer tokens for OAuth 2.0 client credentials, sent as HTTP Basic or as a form body, as LibInsight does.
import { randomBytes } from "node:crypto";
import { credentialsRefused, json, type SimulatedResponse } from "./simulated-responses.ts";

/** Beyond this limit, the oldest tokens are revoked. */
const maxTokens = 1_000;

type Credentials = { clientId: string; clientSecret: string };

export type Tokens = {
  /**
   * Returns the response to a token request.
   * @param authorization the value of the header
   * @param form the request's body, application/x-www-form-urlencoded
   */
  issue(authorization: string | undefined, form: string): SimulatedResponse;
  accepts(authorization: string | undefined): boolean;
  revoke(authorization: string | undefined): void;
};

export type TokenSettings = {
  credentials: Credentials;
  tokenSeconds: number;
  newestTokenOnly: boolean;
  /** Returns the time in milliseconds. */
  now: () => number;
};

export function tokens({ credentials, tokenSeconds, newestTokenOnly, now }: TokenSettings): Tokens {
  const endOf = new Map<string, number>();
  return {
    issue(authorization, form) {
      const body = new URLSearchParams(form);
      const { clientId, clientSecret } = basic(authorization) ?? {
        clientId: body.get("client_id"),
        clientSecret: body.get("client_secret"),
      };
      if (clientId !== credentials.clientId || clientSecret !== credentials.clientSecret) {
        return credentialsRefused;
      }
      if (body.get("grant_type") !== "client_credentials") {
        return json(400, { error: "unsupported_grant_type" });
      }
      const token = randomBytes(20).toString("hex");
      if (newestTokenOnly) endOf.clear();
      endOf.set(token, now() + tokenSeconds * 1000);
      const [oldest] = endOf.keys();
      if (endOf.size > maxTokens && oldest !== undefined) endOf.delete(oldest);
      return json(
        200,
        { access_token: token, expires_in: tokenSeconds, token_type: "Bearer", scope: null },
        { "cache-control": "no-store" },
      );
    },
    accepts: (authorization) => now() < (endOf.get(bearer(authorization)) ?? Number.NEGATIVE_INFINITY),
    revoke: (authorization) => {
      endOf.delete(bearer(authorization));
    },
  };
}

function basic(authorization = ""): Credentials | undefined {
  const encoded = /^Basic +([\w+/=-]+)$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  return colon < 0
    ? undefined
    : { clientId: decoded.slice(0, colon), clientSecret: decoded.slice(colon + 1) };
}

function bearer(authorization = ""): string {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? "";
}
