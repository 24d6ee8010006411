/** A batch size, and why it. */
export interface BatchChoice {
  readonly batchSize: number;
  readonly why: string;
}

/** Tried in this order. A GPU gains up to some hundred images; a CPU's caches are full at 8 or before. */
const sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/** What all of it may take: a worker starts once, and this much later. */
const budgetMs = 3_000;
/** One size is timed for so long, by its best call: others disturb a call, nothing makes it faster than it is. */
const measureMs = 250;
/** A larger batch needs more memory and answers later, so it has to be faster by more than noise. */
const betterBy = 1.05;
/** An engine whose first image takes longer than this, whatever it did besides, runs on no GPU worth measuring. */
const longestFirstMs = 10_000;
/** Sizes in a row that gain nothing, after which larger ones are not tried. */
const mostWorse = 2;

interface Measured {
  readonly batchSize: number;
  readonly imagesPerSecond: number;
}

/**
 * The batch size with the most images a second, ties going to the smaller. `timeBatch` runs one batch of `n` images and
 * gives its milliseconds, or null where the device's memory does not hold it, which ends the search; it has run one image
 * before, in `firstMs`. Sizes that would not fit into 3 s are not tried, so an engine of 2 s an image takes one at a time.
 */
export async function measureBatchSize(
  timeBatch: (n: number) => Promise<number | null>,
  firstMs: number,
): Promise<BatchChoice> {
  if (firstMs > longestFirstMs) return { batchSize: 1, why: `the first image took ${Math.round(firstMs / 1000)} s` };
  const all: Measured[] = [];
  let best: Measured | null = null;
  let spentMs = 0;
  let worse = 0;
  let limit = "";
  for (const batchSize of sizes) {
    // Two calls, as fast as the best so far.
    const expectedMs: number = best === null ? 0 : (2 * batchSize * 1000) / best.imagesPerSecond;
    if (worse === mostWorse || spentMs + expectedMs > budgetMs) break;
    const timed = await timeSize(batchSize, timeBatch);
    if (timed === null) {
      limit = `; ${batchSize} do not fit into its memory`;
      break;
    }
    spentMs += timed.spentMs;
    const measured = { batchSize, imagesPerSecond: (batchSize * 1000) / timed.bestMs };
    all.push(measured);
    const isBetter: boolean = best === null || measured.imagesPerSecond > betterBy * best.imagesPerSecond;
    worse = isBetter ? 0 : worse + 1;
    if (isBetter) best = measured;
  }
  const found = all.map(({ batchSize, imagesPerSecond }) => `${imagesPerSecond.toFixed(1)} by ${batchSize}`).join(", ");
  return { batchSize: best?.batchSize ?? 1, why: `fastest measured; images/s: ${found}${limit}` };
}

async function timeSize(
  n: number,
  timeBatch: (n: number) => Promise<number | null>,
): Promise<{ bestMs: number; spentMs: number } | null> {
  // The first call of a size allocates, and on a GPU may compile.
  const firstMs = n === 1 ? 0 : await timeBatch(n);
  if (firstMs === null) return null;
  let bestMs = Number.POSITIVE_INFINITY;
  let measuredMs = 0;
  while (measuredMs < measureMs) {
    const ms = await timeBatch(n);
    if (ms === null) return null;
    measuredMs += ms;
    bestMs = Math.min(bestMs, ms);
  }
  return { bestMs, spentMs: firstMs + measuredMs };
}
