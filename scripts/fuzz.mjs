// Owns: fuzzing with libFuzzer: builds native/fuzz with clang under AddressSanitizer and UndefinedBehaviorSanitizer,
// and runs one target for a time. Called by `npm run fuzz`; `npm test` never needs clang, it runs the committed inputs
// of test/corpus with the usual compiler (native/fuzz/corpus_test.cc). Everything it makes lies in build/fuzz.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { installLine, program } from "./lib/packages.mjs";
import { runLogged, runMain, runShown, StepFailed } from "./lib/run.mjs";
import { filesBelow, Stamps, stampOf } from "./lib/stamps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const targets = {
  frames: "frames, messages, requests, and the entries made of them",
  connection: "the tables of one connection, with answers in between",
  entry: "the header and the commands of a log entry",
  apply: "valid requests in any order and number, applied on two unlike nodes",
  log: "segment files of a log",
  rows: "stored rows and keys",
};
const INPUT_BYTES_MAX = { frames: 8192, connection: 8192, entry: 8192, apply: 8192, log: 8192, rows: 2048 };
const SECONDS_DEFAULT = 60;
const MEMORY_MIB_MAX = 2048;
const INPUT_SECONDS_MAX = 20;

const help = `usage: npm run fuzz -- TARGET [--seconds S]
       npm run fuzz -- --list | --write-seeds | --replay TARGET FILE

  TARGET         one of: ${Object.keys(targets).join(", ")}
  --seconds S    how long it runs (default ${SECONDS_DEFAULT})
  --list         the targets, and how many committed inputs each has
  --write-seeds  makes the structured seeds of test/corpus anew, from real messages
  --replay T F   runs target T once on the input in file F

Inputs that reach something new are kept in build/fuzz/corpus/TARGET, findings in build/fuzz/findings/TARGET. Ends with
1 when there is a finding. It needs clang 14 or newer with its runtime (Debian: clang, libclang-rt-14-dev).
`;

async function main() {
  process.chdir(root);
  const words = process.argv.slice(2);
  if (words.length === 0 || words.includes("--help")) return print(help);
  if (words[0] === "--list") return list();
  if (words[0] === "--write-seeds") {
    const folder = await build();
    return runShown([`${folder}/seeds`, "test/corpus"]);
  }
  if (words[0] === "--replay") {
    const [, name, file] = words;
    if (!(name in targets) || !file) throw new StepFailed(help);
    const folder = await build();
    return runShown([`${folder}/fuzz`, file], { env: environment(name) });
  }
  return fuzz(words);
}

async function fuzz(words) {
  const [name, flag, value, ...more] = words;
  const seconds = flag === undefined ? SECONDS_DEFAULT : Number(value);
  const isGood = name in targets && (flag === undefined || flag === "--seconds") && more.length === 0;
  if (!isGood || !Number.isInteger(seconds) || seconds < 1) throw new StepFailed(help);
  const folder = await build();
  const own = `${folder}/corpus/${name}`;
  const findings = `${folder}/findings/${name}`;
  for (const path of [own, findings]) mkdirSync(path, { recursive: true });
  const options = [
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX[name]}`,
    `-rss_limit_mb=${MEMORY_MIB_MAX}`,
    `-timeout=${INPUT_SECONDS_MAX}`,
    `-artifact_prefix=${findings}/`,
    "-print_final_stats=1",
    "-use_value_profile=1",
  ];
  const result = await run([`${folder}/fuzz`, ...options, own, `test/corpus/${name}`], environment(name));
  const summary = { target: name, ...figures(result.text), exitCode: result.code, findings: readdirSync(findings) };
  writeFileSync(`${folder}/${name}.json`, `${JSON.stringify(summary, null, 2)}\n`);
  print(`${JSON.stringify(summary)}\n`);
  return result.code === 0 ? 0 : 1;
}

function list() {
  for (const [name, what] of Object.entries(targets)) {
    const folder = `test/corpus/${name}`;
    const count = existsSync(folder) ? readdirSync(folder).length : 0;
    print(`${name.padEnd(12)}${String(count).padStart(4)} inputs  ${what}\n`);
  }
}

async function build() {
  const folder = "build/fuzz";
  const clang = compiler();
  mkdirSync(folder, { recursive: true });
  const stamps = new Stamps(`${folder}/stamps.json`);
  const schemas = stampOf(filesBelow("schemas", "scripts/generate.mjs"));
  if (!stamps.is("schemas", schemas)) {
    await runLogged("fuzz: schemas", [process.execPath, "scripts/generate.mjs", "--native", `${folder}/gen`], {
      logPath: `${folder}/generate.log`,
    });
    stamps.set("schemas", schemas);
  }
  writeFileSync(`${folder}/Makefile`, makefile(folder, clang));
  const make = ["make", "-f", `${folder}/Makefile`, "-j", String(availableParallelism())];
  await runLogged("fuzz: build", make, { logPath: `${folder}/build.log` });
  return folder;
}

function compiler() {
  const found = ["clang++", "clang++-14", "clang++-15", "clang++-16", "clang++-19"].find((name) => program(name));
  const words = ["-fsanitize=fuzzer", "-x", "c++", "-", "-o", "/dev/null"];
  const trial = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n';
  if (found && spawnSync(found, words, { input: trial }).status === 0) return found;
  throw new StepFailed(`Fuzzing needs clang with libFuzzer:\n\n  ${installLine(["clang", "libclang-rt-14-dev"])}\n`);
}

// Layers of native/ that targets reach. base/check.cc is replaced by fuzz/ended.cc.
function makefile(folder, clang) {
  const layers = ["base", "codec", "rpc", "log", "storage", "fsm", "fuzz"];
  const cached = program("ccache") ? `ccache ${clang}` : clang;
  const march = process.arch === "x64" ? "-msse4.2" : "";
  const sanitize = "-fsanitize=address,undefined -fno-sanitize-recover=all";
  return `# Written by scripts/fuzz.mjs.
B := ${folder}
SRC := $(filter-out native/base/check.cc native/fuzz/%_main.cc native/fuzz/corpus_test.cc,\\
  ${layers.map((name) => `$(wildcard native/${name}/*.cc)`).join(" ")})
OBJ := $(patsubst %.cc,$(B)/%.o,$(SRC)) $(B)/gen/schemas.o
FLAGS := -O1 -g1 -fno-omit-frame-pointer ${march} -pthread -std=c++20 -fsanitize=fuzzer-no-link ${sanitize} \\
  -Inative -isystem $(B)/gen -D_GLIBCXX_ASSERTIONS -DCAPSTAN_SANITIZED=1
LIBS := -lrocksdb -lcapnp-rpc -lcapnp -lkj-async -lkj -lxxhash -lpthread
all: $(B)/fuzz $(B)/seeds
$(B)/fuzz: $(OBJ) $(B)/native/fuzz/libfuzzer_main.o
\t${clang} -fsanitize=fuzzer ${sanitize} -o $@ $^ $(LIBS)
$(B)/seeds: $(OBJ) $(B)/native/fuzz/seeds_main.o
\t${clang} -fsanitize=fuzzer-no-link ${sanitize} -o $@ $^ $(LIBS)
$(B)/gen/schemas.o: $(B)/gen/schemas.cc
\t${cached} $(FLAGS) -w -c $< -o $@
$(B)/%.o: %.cc
\t@mkdir -p $(dir $@)
\t${cached} $(FLAGS) -MMD -MP -c $< -o $@
-include $(shell find $(B)/native -name '*.d' 2>/dev/null)
`;
}

function environment(name) {
  return {
    ...process.env,
    CAPSTAN_FUZZ_TARGET: name,
    ASAN_OPTIONS: "detect_leaks=1:allocator_may_return_null=0",
    LSAN_OPTIONS: "suppressions=scripts/sanitizers/lsan.txt:print_suppressions=0",
    UBSAN_OPTIONS: "print_stacktrace=1",
  };
}

// With its output on this terminal and in memory, for the figures at its end.
async function run(command, env) {
  const child = spawn(command[0], command.slice(1), { env, stdio: ["ignore", "inherit", "pipe"] });
  let text = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (piece) => {
    process.stderr.write(piece);
    text = (text + piece).slice(-65_536);
  });
  const code = await new Promise((resolve) => child.on("close", (status) => resolve(status ?? 1)));
  return { code, text };
}

function figures(text) {
  const stat = (name) => Number(new RegExp(`stat::${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0);
  const last = [...text.matchAll(/cov: (\d+) ft: (\d+) corp: (\d+)/g)].at(-1) ?? [];
  const seconds = Number(/Done \d+ runs in (\d+) second/.exec(text)?.[1] ?? 0);
  return {
    executions: stat("number_of_executed_units"),
    executionsPerSecond: stat("average_exec_per_sec"),
    seconds,
    edges: Number(last[1] ?? 0),
    features: Number(last[2] ?? 0),
    inputs: Number(last[3] ?? 0),
    peakMib: stat("peak_rss_mb"),
  };
}

function print(text) {
  process.stdout.write(text);
}

await runMain(main);
