// Decides whether chance explains a count. Weekly counts of a small location scatter much more than a fixed share allows.

/**
 * A deviation above this is not explained by chance. Chance alone exceeds it in fewer than one of 20,000 comparisons
 * (e^-10). Weeks scatter more than independent records, so a comparison also needs a limit in percent or points.
 */
export const improbable = 10;

/**
 * Returns how improbable `k` of `n` is if each has the probability `p`: the Chernoff bound, as the negative logarithm of
 * the probability. https://en.wikipedia.org/wiki/Chernoff_bound
 */
export function binomialSurprise(k: number, n: number, p: number): number {
  return term(k, n * p) + term(n - k, n * (1 - p));
}

/** Returns how improbable it is that both counts have the same share, of which the best estimate is that of their sum. */
export function shareSurprise(a: { k: number; n: number }, b: { k: number; n: number }): number {
  const p = (a.k + b.k) / (a.n + b.n);
  return binomialSurprise(a.k, a.n, p) + binomialSurprise(b.k, b.n, p);
}

function term(count: number, expected: number): number {
  return count === 0 ? 0 : count * Math.log(count / expected);
}
