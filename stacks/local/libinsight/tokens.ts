// OAuth 2.0 client credentials, as LibInsight does it: HTTP Basic or a form body in, a bearer token out.
import { randomBytes } from "node:crypto";
import { type Answer, credentialsRefused, json } from "./answers.ts";

/** More than this and the oldest are forgotten. */
const maxTokens = 1_000;

export type Credentials = { clientId: string; clientSecret: string };

export type Tokens = {
  /** @param authorization the header's value · @param form the request's body, application/x-www-form-urlencoded */
  answer(authorization: string | undefined, form: string): Answer;
  accepts(authorization: string | undefined): boolean;
  forget(authorization: string | undefined): void;
};

export type TokenSettings = {
  credentials: Credentials;
  tokenSeconds: number;
  newestTokenOnly: boolean;
  /** Milliseconds. */
  now: () => number;
};

export function tokens({ credentials, tokenSeconds, newestTokenOnly, now }: TokenSettings): Tokens {
  const endOf = new Map<string, number>();
  return {
    answer(authorization, form) {
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
    forget: (authorization) => {
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
