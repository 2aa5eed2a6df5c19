// The structured log lines of Lambda functions. Of its own file, because loading Powertools takes longer than a short run.
import { Logger } from "@aws-lambda-powertools/logger";
import type { Log } from "./logger.ts";

/** The level comes from POWERTOOLS_LOG_LEVEL. */
export function createLogger(serviceName: string): Log {
  const logger = new Logger({ serviceName });
  return {
    info: (message, fields) => logger.info(message, fields),
    warn: (message, fields) => logger.warn(message, fields),
    error: (message, fields) => logger.error(message, fields),
  };
}
