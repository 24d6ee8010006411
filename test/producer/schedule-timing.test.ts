import assert from "node:assert/strict";
import {
  dateOf,
  isQuiet,
  lastStarts,
  nextStart,
  nextStarts,
  parseTiming,
  type TimingWords,
} from "../../src/producer/schedule-timing.js";

const at = (iso: string) => Date.parse(iso);
const berlin = (cron: string, quiet?: string) => parseTiming({ cron, timeZone: "Europe/Berlin", quiet }, 0);
/** The starts from `from` to `to`, as each minute's question finds them: without knowing those before. */
function askedEachMinute(cron: string, from: string, to: string): string[] {
  const timing = berlin(cron);
  const found = new Set<number>();
  for (let ms = at(from); ms < at(to); ms += 60_000) {
    const next = nextStart(timing, ms);
    if (next !== null && next < at(to)) found.add(next);
  }
  return [...found].map((ms) => new Date(ms).toISOString().slice(0, 16));
}

describe("producer/schedule-timing", () => {
  it("starts once where clocks go back, whenever it is asked", () => {
    assert.deepEqual(askedEachMinute("30 2 * * *", "2026-10-24T12:00Z", "2026-10-26T12:00Z"), [
      "2026-10-25T00:30",
      "2026-10-26T01:30",
    ]);
    assert.deepEqual(askedEachMinute("0,30 * * * *", "2026-10-24T23:45Z", "2026-10-25T02:15Z"), [
      "2026-10-25T00:00",
      "2026-10-25T00:30",
      "2026-10-25T01:00",
      "2026-10-25T01:30",
      "2026-10-25T02:00",
    ]);
  });

  it("starts once where clocks go forward, an hour later where its hour is left out, whenever it is asked", () => {
    assert.deepEqual(askedEachMinute("30 2 * * *", "2027-03-27T12:00Z", "2027-03-29T12:00Z"), [
      "2027-03-28T01:30",
      "2027-03-29T00:30",
    ]);
    assert.deepEqual(askedEachMinute("0 * * * *", "2027-03-27T23:30Z", "2027-03-28T02:30Z"), [
      "2027-03-28T00:00",
      "2027-03-28T01:00",
      "2027-03-28T02:00",
    ]);
  });

  it("counts an interval from 1970, whatever the zone's clock does", () => {
    const timing = parseTiming({ every: "6h", timeZone: "Europe/Berlin" }, 0);
    const starts = nextStarts(timing, at("2026-10-24T23:00Z"), 3).map((ms) => new Date(ms).toISOString().slice(0, 13));
    assert.deepEqual(starts, ["2026-10-25T00", "2026-10-25T06", "2026-10-25T12"]);
  });

  it("leaves out what falls into quiet hours, also over midnight", () => {
    const timing = berlin("0 */6 * * *", "22:00-06:30");
    const starts = nextStarts(timing, at("2026-11-01T00:00Z"), 3).map((ms) => new Date(ms).toISOString());
    assert.deepEqual(starts, ["2026-11-01T11:00:00.000Z", "2026-11-01T17:00:00.000Z", "2026-11-02T11:00:00.000Z"]);
    assert.deepEqual(
      ["20:59Z", "21:00Z", "05:29Z", "05:30Z"].map((time) => isQuiet(timing, at(`2026-11-01T${time}`))),
      [false, true, true, false],
    );
  });

  it("finds the last starts of a time, and the day in the zone", () => {
    const timing = berlin("0 0 * * *");
    const starts = lastStarts(timing, at("2026-10-01T00:00Z"), at("2026-10-26T23:00Z"), 2);
    assert.deepEqual(
      starts.map((ms) => dateOf(timing, ms)),
      ["2026-10-26", "2026-10-27"],
    );
  });

  it("finds the last of the many starts of a year without walking them all", function () {
    // Took 85 s where it walked them.
    this.timeout(40_000);
    const timing = parseTiming({ cron: "* * * * *", quiet: "09:00-17:00" }, 0);
    const untilMs = at("2026-10-26T17:01Z");
    const starts = lastStarts(timing, untilMs - 365 * 86_400_000, untilMs, 4);
    assert.deepEqual(
      starts.map((ms) => new Date(ms).toISOString().slice(11, 16)),
      ["08:58", "08:59", "17:00", "17:01"],
    );
    assert.deepEqual(lastStarts(timing, at("2026-10-26T17:00Z"), untilMs, 4), [untilMs]);
    assert.deepEqual(lastStarts(timing, untilMs, untilMs, 4), []);
  });

  const refused: readonly [TimingWords, RegExp][] = [
    [{}, /`cron` to be given where --every is not, and only there, got `none`/],
    [{ cron: "* * * * *", every: "1h" }, /only there, got `\* \* \* \* \*`/],
    [{ cron: "* * * *" }, /five fields/],
    [{ cron: "0 0 * * * *" }, /five fields/],
    [{ cron: "61 * * * *" }, /five fields.*got value 61/],
    [{ cron: "0 0 30 2 *" }, /five fields.*day of month/],
    [{ cron: "H 2 * * *" }, /five fields.*H, a value that is drawn/],
    [{ cron: "0 1,h * * *" }, /five fields.*H, a value that is drawn/],
    [{ every: "59s" }, /a duration from 60s to 365d/],
    [{ every: "soon" }, /a duration from 60s to 365d/],
    [{ every: "1h", timeZone: "Europe/Nowhere" }, /the name of a time zone.*Nowhere/],
    [{ every: "1h", quiet: "25:00-01:00" }, /two different times of the day/],
    [{ every: "1h", quiet: "01:00-01:00" }, /two different times of the day/],
    [{ cron: "0 3 * * *", quiet: "02:00-04:00" }, /leave something of the schedule, got `02:00-04:00 of 0 3/],
  ];
  for (const [words, message] of refused) {
    it(`refuses ${JSON.stringify(words)}`, () => {
      assert.throws(() => parseTiming(words, 0), { code: "OPTION_INVALID", message });
    });
  }
});
