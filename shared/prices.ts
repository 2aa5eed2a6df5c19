// AWS list prices in us-east-1, in dollars, without free tiers. Check https://calculator.aws before you rely on them.

/** The date of the prices. */
export const pricesOf = "November 2026";

export const prices = {
  /** https://aws.amazon.com/lambda/pricing/ arm64 */
  lambdaGbSecond: 0.0000133334,
  lambdaRequest: 0.2 / 1e6,
  /** https://aws.amazon.com/sqs/pricing/ Each 64 KB of a message counts as a request. */
  sqsRequest: 0.4 / 1e6,
  /** https://aws.amazon.com/s3/pricing/ */
  s3Write: 0.005 / 1e3,
  s3Read: 0.0004 / 1e3,
  /** https://aws.amazon.com/eventbridge/pricing/ */
  event: 1 / 1e6,
  /** https://aws.amazon.com/athena/pricing/ Athena bills at least 10 MB per query. */
  athenaByte: 5 / 1e12,
} as const;

export const sqsChunkBytes = 65_536;
export const athenaMinBytes = 10e6;
