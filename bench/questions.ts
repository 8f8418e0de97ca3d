// Every question by its id. Owns nothing else; a new question is added here. Called by run.ts, load_thread.ts and the
// command line.

import { e1 } from "./e1_enqueue.js";
import { groups, l1 } from "./l1_whole_life.js";
import { p1 } from "./p1_idle_enqueue.js";
import { p2 } from "./p2_parked_worker.js";
import type { Question, QuestionId } from "./question.js";
import { u1 } from "./u1_single_enqueue.js";

export const questions: Readonly<Record<QuestionId, Question>> = { e1, l1, u1, p1, p2, groups };

export function isQuestionId(text: string): text is QuestionId {
  return Object.hasOwn(questions, text);
}
