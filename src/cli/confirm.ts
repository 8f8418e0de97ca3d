// Owns: the question before something is deleted for good. On no terminal nobody could answer, so `--yes` is demanded
// there. Never deletes anything. Called by the verbs that delete.

import { createInterface } from "node:readline";
import { exitCode, Failure, usage } from "./exit_codes.js";
import { shown } from "./text.js";

/** Resolves when it may be done; throws otherwise. */
export async function confirm(question: string, isYes: boolean | undefined): Promise<void> {
  if (isYes === true) return;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw usage(`${question} There is no terminal to ask on: give --yes.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise<string>((resolve) => {
    terminal.once("close", () => resolve(""));
    terminal.question(`${shown(question)} [y/N] `, resolve);
  });
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure("nothing was deleted", exitCode.failed);
}
