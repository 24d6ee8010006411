/**
 * `npm run chaos [-- --seed S --rounds N --kind child,tree --items 200]`: real runs with real weights through kills,
 * restarts and losses, each judged by the oracle. The same seed does the same rounds. A round that fails leaves its
 * directory, and ends the suite with status 1.
 */
import { parseArgs } from "node:util";
import { resnet50ForTests } from "../support/model.js";
import { type Kind, rounds } from "./rounds.js";
import { runRound } from "./run-round.js";

const kinds = Object.keys(rounds) as Kind[];
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rounds: { type: "string", default: "9" },
    kind: { type: "string", default: kinds.join(",") },
    items: { type: "string", default: "200" },
  },
});
const chosen = values.kind.split(",").map((name) => {
  const kind = kinds.find((each) => each === name);
  if (kind === undefined) throw new Error(`Expected --kind to be of ${kinds.join(", ")}, got ${name}`);
  return kind;
});

await resnet50ForTests();
const seed = Number(values.seed);
const count = Number(values.rounds);
console.log(`chaos: seed ${seed}, ${count} rounds of ${values.items} items, kinds ${chosen.join(", ")}`);
const totals = { takesAgain: 0, commitsAgain: 0, imagesAgain: 0 };
for (let round = 0; round < count; round += 1) {
  const kind = chosen[round % chosen.length] as Kind;
  const { told, again, seconds } = await runRound(kind, { seed: seed + round, items: Number(values.items) });
  totals.takesAgain += again.takesAgain;
  totals.commitsAgain += again.commitsAgain;
  totals.imagesAgain += again.imagesAgain;
  const more = `${again.takesAgain} chunks taken, ${again.commitsAgain} committed, ${again.imagesAgain} images done again`;
  console.log(`${round + 1}/${count} ${kind} (seed ${seed + round}): ${told}; ${more}; ${seconds} s`);
}
console.log(`${count} rounds, every item one row each time; again in all: ${JSON.stringify(totals)}`);
