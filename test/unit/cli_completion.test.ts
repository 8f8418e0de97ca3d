// What a person gets who presses the tab key: the completion scripts run in the shells they are for, bash, zsh and fish,
// and each shell says what it would offer. A shell that is not installed is a skip that names it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runCli } from "../support/cli_process.js";

type Shell = "bash" | "zsh" | "fish";

const scripts = new Map<Shell, string>();
let directory: string;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "capstan-completion-"));
  mkdirSync(join(directory, "functions"));
  for (const shell of ["bash", "zsh", "fish"] as const) {
    const { code, stdout } = await runCli(["completion", shell], { built: false });
    assert.equal(code, 0);
    const path = join(directory, shell === "zsh" ? "functions/_capstan" : `capstan.${shell}`);
    writeFileSync(path, stdout);
    scripts.set(shell, path);
  }
  writeFileSync(join(directory, "inner.zsh"), innerZsh);
  writeFileSync(join(directory, "outer.zsh"), outerZsh);
  mkdirSync(join(directory, "work"));
  for (const name of ["letter-1.txt", "letter-2.txt"]) writeFileSync(join(directory, "work", name), "");
});

after(() => {
  rmSync(directory, { recursive: true, force: true });
});

function run(shell: Shell, args: readonly string[], environment: Readonly<Record<string, string>> = {}): string {
  const done = spawnSync(shell, args, {
    cwd: join(directory, "work"),
    encoding: "utf8",
    timeout: 60_000,
    env: { PATH: process.env["PATH"], HOME: directory, TERM: "dumb", ...environment },
  });
  assert.equal(done.status, 0, `${shell}: ${done.error ?? ""}${done.stdout}${done.stderr}`);
  assert.equal(done.stderr, "");
  return done.stdout;
}

/** As many lines as there are, in order. */
function offers(text: string): string[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line !== "")
    .sort();
}

function bash(line: string): string[] {
  const words = line.split(" ").map((word) => `'${word}'`);
  // What readline does: the function, and where it offers nothing, file names.
  const script = `source "$0"
COMP_WORDS=(${words.join(" ")})
COMP_CWORD=${words.length - 1}
_capstan
if (( \${#COMPREPLY[@]} )); then printf '%s\\n' "\${COMPREPLY[@]}"; else compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"; fi`;
  return offers(run("bash", ["--norc", "-c", script, scripts.get("bash") as string]));
}

/** A real shell at a pseudo-terminal, to which the line and a tab are typed. */
function zsh(line: string, environment: Readonly<Record<string, string>>): string[] {
  return offers(run("zsh", ["-f", join(directory, "outer.zsh"), join(directory, "inner.zsh"), line], environment));
}

function fish(line: string): string[] {
  const asked = `source $argv[1]; complete -C $argv[2]`;
  // Behind a tab stands a description.
  const found = run("fish", ["--no-config", "-c", asked, scripts.get("fish") as string, line]);
  return offers(found.replaceAll(/\t.*$/gm, ""));
}

const innerZsh = `PROMPT=
fpath=($CAPSTAN_FUNCTIONS $fpath)
autoload -Uz compinit; compinit -u -d $CAPSTAN_DUMP
[[ -n $CAPSTAN_SOURCE ]] && source $CAPSTAN_SOURCE
bindkey '^M' undefined; bindkey '^J' undefined; bindkey '^I' complete-word
mark() { print -rn -- $'\\0' }
compprefuncs=(mark); comppostfuncs=(mark exit)
zstyle ':completion:*' insert-tab false
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -A hits "$@"
  local hit
  for hit in $hits; do print -r -- "$hit"; done
}
print -rn -- $'\\1'
`;

const outerZsh = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $1"
zpty -r shell ready $'*\\1' || exit 1
zpty -w -n shell "$2"$'\\t'
zpty -r shell echoed $'*\\0' || exit 1
zpty -r shell found $'*\\0' || exit 1
print -rn -- \${found%$'\\0'}
zpty -d shell
`;

const shells: readonly (readonly [string, Shell, (line: string) => string[]])[] = [
  ["bash", "bash", bash],
  [
    "zsh, autoloaded",
    "zsh",
    (line) =>
      zsh(line, {
        CAPSTAN_FUNCTIONS: join(directory, "functions"),
        CAPSTAN_SOURCE: "",
        CAPSTAN_DUMP: join(directory, "dump-1"),
      }),
  ],
  [
    "zsh, sourced",
    "zsh",
    (line) =>
      zsh(line, {
        CAPSTAN_FUNCTIONS: "",
        CAPSTAN_SOURCE: scripts.get("zsh") as string,
        CAPSTAN_DUMP: join(directory, "dump-2"),
      }),
  ],
  ["fish", "fish", fish],
];

for (const [name, shell, complete] of shells) {
  const isMissing = spawnSync(shell, ["--version"]).status !== 0;
  // Of each test: a suite that is skipped is not counted as such.
  const options = { skip: isMissing ? `${shell} is not installed` : false };
  describe(`completion in ${name}`, { timeout: 300_000 }, () => {
    it("offers commands, and those of a command that has some", options, () => {
      assert.deepEqual(complete("capstan qu"), ["queue", "queues"]);
      assert.deepEqual(complete("capstan queue pa"), ["pause"]);
      assert.deepEqual(complete("capstan --addr 127.0.0.1:9 queue s"), ["set", "show"]);
    });

    it("offers flags, and the words that a flag or an argument takes", options, () => {
      assert.deepEqual(complete("capstan enqueue mail --pri"), ["--priority"]);
      assert.deepEqual(complete("capstan queues -o "), ["json", "table"]);
      assert.deepEqual(complete("capstan queues --output t"), ["table"]);
      assert.deepEqual(complete("capstan peek mail --state "), ["ready", "scheduled"]);
      assert.deepEqual(complete("capstan completion z"), ["zsh"]);
    });

    it("offers files where a file belongs", options, () => {
      const files = ["letter-1.txt", "letter-2.txt"];
      assert.deepEqual(complete("capstan enqueue mail --file l"), files);
      assert.deepEqual(complete("capstan work mail -- l"), files);
      assert.deepEqual(complete("capstan exchange "), files);
      assert.deepEqual(complete("capstan exchange --k"), ["--key"]);
    });
  });
}
