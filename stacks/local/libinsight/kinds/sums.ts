// Writes sums of counts as nested maps, as LibInsight does.

/** A value below names, from the outermost map to the innermost. */
export type Sum = { path: readonly string[]; value: unknown };

/**
 * Returns the sums of the counts with the same path, in the order of their first ones. Some are texts, as numbers of
 * LibInsight may be.
 */
export function sumsOf<T extends { count: number }>(
  entries: Iterable<T>,
  pathOf: (entry: T) => readonly string[],
): Sum[] {
  const sums = new Map<string, { path: readonly string[]; value: number }>();
  for (const entry of entries) {
    const path = pathOf(entry);
    const key = path.join("\0");
    const sum = sums.get(key);
    if (sum) sum.value += entry.count;
    else sums.set(key, { path, value: entry.count });
  }
  return [...sums.values()].map(({ path, value }) => ({
    path,
    value: value % 9 === 4 ? String(value) : value,
  }));
}

/** Returns the sums with the first one larger by `surplus`, or `only` if there are none. */
export function withSurplus(sums: readonly Sum[], surplus: number, only: readonly string[]): readonly Sum[] {
  if (surplus === 0) return sums;
  const [first = { path: only, value: 0 }, ...others] = sums;
  return [{ ...first, value: Number(first.value) + surplus }, ...others];
}

/** What a PHP server may write instead of an empty map. The last one is no value at all. */
const empties = ["[]", '""', "null", undefined];

/**
 * Returns the members `"name":map` of a JSON object. Sums of one map that are apart give one name twice.
 * @param turn selects how an empty map is written
 */
export function mapMember(name: string, sums: readonly Sum[], turn: number): string[] {
  const text = sums.length > 0 ? mapText(sums) : empties[turn % empties.length];
  return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
}

function mapText(sums: readonly Sum[]): string {
  const members: { name: string; below: Sum[] }[] = [];
  for (const { path, value } of sums) {
    const [name = "", ...rest] = path;
    const last = members.at(-1);
    if (last?.name === name && rest.length > 0) last.below.push({ path: rest, value });
    else members.push({ name, below: [{ path: rest, value }] });
  }
  const texts = members.map(({ name, below }) => {
    const [only] = below;
    return `${JSON.stringify(name)}:${only?.path.length === 0 ? JSON.stringify(only.value) : mapText(below)}`;
  });
  return `{${texts.join(",")}}`;
}
