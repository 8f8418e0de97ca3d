// The long forms of the fault tests, for a person: `npm run fault -- --help`. It starts nothing but what the parts start,
// prints one JSON object for each part, and ends non-zero when a promise was broken or a control kept it.

import { parseArgs } from "node:util";
import { crashRounds } from "./crash_rounds.js";

const usage = `npm run fault -- [--part NAME]... [--kills N] [--cuts N] [--seed S] [--quiet]

  --part NAME   kill: SIGKILL and restart under load; power: power cuts under load; control: a power cut without
                durability, which must lose jobs. May be repeated; default: all of them
  --kills N     rounds of kill (default 50)
  --cuts N      rounds of power (default 100)
  --seed S      which run (default 1); instants of a crash also depend on the machine
  --quiet       no line for each round
`;

type Part = (
  say: ((line: string) => void) | undefined,
  number: (name: "kills" | "cuts" | "seed") => number,
) => Promise<Result>;

interface Result {
  readonly isGood: boolean;
  readonly report: object;
}

const parts: Readonly<Record<string, Part>> = {
  kill: async (say, number) => {
    const report = await crashRounds({
      kind: "kill",
      rounds: number("kills"),
      seed: number("seed"),
      ...(say && { say }),
    });
    return { isGood: report.violations.length === 0, report };
  },
  power: async (say, number) => {
    const report = await crashRounds({
      kind: "power",
      rounds: number("cuts"),
      seed: number("seed"),
      ...(say && { say }),
    });
    return { isGood: report.violations.length === 0 && report.cut.pagesLost > 0, report };
  },
  control: async (say, number) => {
    const controls = [];
    for (const control of ["syncNever", "lyingDisk", "forgottenNames"] as const) {
      const common = { kind: "power", rounds: 1, seed: number("seed"), control } as const;
      const { violations, ...report } = await crashRounds({ ...common, ...(say && { say }) });
      controls.push({ control, lost: violations.filter(({ promise }) => promise === 1).length, ...report });
    }
    return { isGood: controls.every(({ lost }) => lost > 0), report: { controls } };
  },
};

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      part: { type: "string", multiple: true },
      kills: { type: "string", default: "50" },
      cuts: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      quiet: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const wanted = values.part ?? Object.keys(parts);
  const unheardOf = wanted.filter((name) => !(name in parts));
  const numbers = [values.kills, values.cuts, values.seed];
  if (values.help || unheardOf.length > 0 || numbers.some((text) => !/^[1-9]\d{0,8}$/.test(text))) {
    process.stderr.write(usage);
    return values.help ? 0 : 2;
  }
  const say = values.quiet
    ? undefined
    : (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
  let code = 0;
  for (const name of wanted) {
    const { isGood, report } = await (parts[name] as Part)(say, (which) => Number(values[which]));
    process.stdout.write(`${JSON.stringify({ part: name, isGood, ...report }, firstFew)}\n`);
    if (!isGood) code = 1;
  }
  return code;
}

/** Of thousands of violations the first few are enough to look at. */
function firstFew(name: string, value: unknown): unknown {
  return name === "violations" && Array.isArray(value) ? value.slice(0, 20) : value;
}

process.exitCode = await main();
