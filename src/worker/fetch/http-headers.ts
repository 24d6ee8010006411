/** The times that servers write (RFC 9110). */

/** How long `Retry-After` asks to wait, in milliseconds: seconds, or a date; null where it is absent or neither. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const date = httpDate(value);
  return date === null ? null : Math.max(0, date.getTime() - nowMs);
}

/** An HTTP date in any of its three forms; null where it is none, as servers write anything. */
export function httpDate(value: string | undefined): Date | null {
  if (value === undefined || !/^\s*[A-Za-z]{3,9},? .*\d\d:\d\d:\d\d/.test(value)) return null;
  // The asctime form names no zone, which is UTC there and would be local time to Date.
  const date = new Date(/GMT|UTC|[+-]\d{4}\s*$/.test(value) ? value : `${value} GMT`);
  return Number.isNaN(date.getTime()) ? null : date;
}
