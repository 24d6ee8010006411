/** What many numbers come to. Quantiles are of the numbers themselves: the smallest that so many are not above. */
export interface Distribution {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** By the share that is not above them: `p01` is the first percentile, `p50` the median. */
  readonly quantiles: Readonly<Record<"p01" | "p05" | "p25" | "p50" | "p75" | "p95" | "p99", number>>;
}

/** Collects up to `most` numbers, in 8 bytes each. */
export function createDistribution(most: number) {
  const values = new Float64Array(most);
  let count = 0;
  let sum = 0;
  return {
    /** Throws RangeError beyond `most`. */
    add(value: number): void {
      if (count === most) throw new RangeError(`Expected at most ${most} numbers`);
      values[count] = value;
      count += 1;
      sum += value;
    },
    /** Null where there are none. Sorts them. */
    summarize(): Distribution | null {
      if (count === 0) return null;
      const sorted = values.subarray(0, count).sort();
      const at = (index: number) => sorted[index] ?? Number.NaN;
      const quantile = (share: number) => at(Math.max(0, Math.ceil(share * count) - 1));
      const quantiles = {
        p01: quantile(0.01),
        p05: quantile(0.05),
        p25: quantile(0.25),
        p50: quantile(0.5),
        p75: quantile(0.75),
        p95: quantile(0.95),
        p99: quantile(0.99),
      };
      return { count, mean: sum / count, min: at(0), max: at(count - 1), quantiles };
    },
  };
}
