// What AWS charges for what the benchmarks count: us-east-1, list prices in dollars, without free tiers. Look at
// https://calculator.aws before you rely on them.

/** When they were looked up. */
export const pricesOf = "November 2026";

export const prices = {
  /** https://aws.amazon.com/lambda/pricing/ arm64 */
  lambdaGbSecond: 0.0000133334,
  lambdaRequest: 0.2 / 1e6,
  /** https://aws.amazon.com/sqs/pricing/ Each 64 KB of a message is a request. */
  sqsRequest: 0.4 / 1e6,
  /** https://aws.amazon.com/s3/pricing/ */
  s3Write: 0.005 / 1e3,
  s3Read: 0.0004 / 1e3,
  /** https://aws.amazon.com/eventbridge/pricing/ */
  event: 1 / 1e6,
  /** https://aws.amazon.com/athena/pricing/ Ten megabytes a query at least. */
  athenaByte: 5 / 1e12,
} as const;

export const sqsChunkBytes = 65_536;
export const athenaLeastBytes = 10e6;
