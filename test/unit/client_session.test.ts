// The sequences of a session: what a request tells the server of answers that were received, and that nothing grows
// while one call of many stays unanswered.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Session } from "../../src/client/session.js";

describe("a session", () => {
  it("counts from 1, and answers in order leave nothing to tell", () => {
    const session = new Session(5n);
    assert.equal(session.lowestUnanswered, 1);
    assert.deepEqual([session.take(), session.take()], [1, 2]);
    session.answered(1);
    assert.equal(session.lowestUnanswered, 2);
    session.answered(2);
    assert.equal(session.lowestUnanswered, 3);
    assert.deepEqual(session.tell(session.take()), []);
  });

  it("tells each answer above the lowest unanswered once", () => {
    const session = new Session(5n);
    for (let i = 0; i < 4; i++) session.take();
    session.answered(4);
    session.answered(2);
    const fifth = session.take();
    assert.deepEqual(session.tell(fifth), [2, 4]);
    assert.deepEqual(session.tell(session.take()), []);
    assert.equal(session.lowestUnanswered, 1);
  });

  it("tells again what a lost request told", () => {
    const session = new Session(5n);
    for (let i = 0; i < 3; i++) session.take();
    session.answered(3);
    const telling = session.take();
    assert.deepEqual(session.tell(telling), [3]);
    session.lost(telling);
    assert.deepEqual(session.tell(telling), [3]);
    session.answered(telling);
    session.lost(telling);
    assert.deepEqual(session.tell(session.take()), [telling]);
  });

  it("does not tell what the lowest unanswered says already", () => {
    const session = new Session(5n);
    for (let i = 0; i < 3; i++) session.take();
    session.answered(2);
    session.answered(1);
    assert.equal(session.lowestUnanswered, 3);
    assert.deepEqual(session.tell(session.take()), []);
  });

  it("tells at most 1,024 at a time", () => {
    const session = new Session(5n);
    session.take();
    for (let i = 0; i < 1_500; i++) session.answered(session.take());
    assert.equal(session.tell(session.take()).length, 1_024);
    assert.equal(session.tell(session.take()).length, 476);
  });

  it("keeps what it keeps however long one call waits", () => {
    const session = new Session(5n);
    session.take();
    for (let i = 0; i < 100_000; i++) {
      const sequence = session.take();
      session.tell(sequence);
      session.answered(sequence);
    }
    assert.equal(session.outstanding, 1);
    assert.equal(session.lowestUnanswered, 1);
    assert.deepEqual(session.tell(session.take()), [100_001]);
  });
});
