/** How many entries, by reason. */
export type Counts = Readonly<Record<string, number>>;

/** By reason, all of `counts` together. */
export function sumCounts(counts: readonly Counts[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [reason, n] of counts.flatMap(Object.entries<number>)) sum[reason] = (sum[reason] ?? 0) + n;
  return sum;
}

/** What `now` has more than `before`, which was of the same thing. */
export function countsSince(before: Counts, now: Counts): Counts {
  const added = Object.entries(now).map(([reason, n]) => [reason, n - (before[reason] ?? 0)] as const);
  return Object.fromEntries(added.filter(([, n]) => n > 0));
}
