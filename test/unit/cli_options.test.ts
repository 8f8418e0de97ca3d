// The reading of flags and arguments: what is refused, first, and then what it means. Through the readers themselves and
// commander; no server and no process.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Command, InvalidArgumentError } from "commander";
import * as options from "../../src/cli/options.js";

const refused = (read: (text: string) => unknown, ...texts: string[]): void => {
  for (const text of texts) assert.throws(() => read(text), InvalidArgumentError, `"${text}" passes`);
};

describe("arguments of the command line", () => {
  it("takes durations with a unit only", () => {
    refused(options.duration, "", "30", "1.5", "-1s", "s", "30 parsecs", "1e3s", "0x10s", "99999999999999d");
    refused(options.positiveDuration, "0", "0s");
    for (const [text, ms] of [
      ["500ms", 500],
      ["30s", 30_000],
      ["5m", 300_000],
      ["2h", 7_200_000],
      ["3d", 259_200_000],
      ["1.5s", 1_500],
      ["0", 0],
    ] as const) {
      assert.equal(options.duration(text), ms);
    }
  });

  it("takes instants with a zone only", () => {
    refused(options.instant, "tomorrow", "2027-01-31", "2027-01-31T08:00:00", "2027-13-31T08:00:00Z", "1000", "");
    assert.equal(options.instant("2027-01-31T09:00:00+01:00"), Date.UTC(2027, 0, 31, 8));
    assert.equal(options.instant("2027-01-31 08:00:00.250Z"), Date.UTC(2027, 0, 31, 8, 0, 0, 250));
  });

  it("takes no longer time than a timer holds where one is set", () => {
    assert.equal(options.timer("24d"), 24 * 86_400_000);
    assert.equal(options.timer("0ms"), 0);
    for (const text of ["25d", "999999d"]) assert.throws(() => options.timer(text), /up to 24 days/);
  });

  it("takes counts within their bounds, sizes and attempts", () => {
    refused(options.count(1, 16), "0", "17", "1.5", "-1", "many", "");
    assert.equal(options.count(1, 16)("16"), 16);
    refused(options.size, "4 parsecs", "-1", "");
    assert.equal(options.size("64KiB"), 65_536);
    refused(options.attempts, "0", "-1", "none");
    assert.equal(options.attempts("unlimited"), "unlimited");
    assert.throws(() => options.attempts("4294967295"), /a whole number from 1 to 4294967294/);
    assert.equal(options.attempts("7"), 7);
  });

  it("takes ids of 32 hex digits", () => {
    refused(options.hexId, "", "12", "g".repeat(32), "0".repeat(33), ` ${"0".repeat(32)}`);
    assert.equal(options.hexId("AB".repeat(16)), "ab".repeat(16));
    assert.deepEqual(options.hexIds("cd".repeat(16), ["ab".repeat(16)]), ["ab".repeat(16), "cd".repeat(16)]);
  });

  it("takes headers, but none twice", () => {
    refused(options.header, "", "=x", "name");
    assert.throws(() => options.header("a=2", { a: "1" }), /given twice/);
    assert.deepEqual(options.header("b=x=y", { a: "1" }), { a: "1", b: "x=y" });
    assert.throws(() => options.header("constructor"), InvalidArgumentError);
    assert.deepEqual(options.header("constructor=1"), { constructor: "1" });
  });

  it("takes addresses", () => {
    refused(options.addresses, "", "9090", "host", "host:", "host:0", "host:65536", "unix:", "::1:9090", "a:1,,b:2");
    assert.deepEqual(options.addresses("a:1, [::1]:2", ["unix:/run/x"]), ["unix:/run/x", "a:1", "[::1]:2"]);
  });
});

describe("the flags that all verbs share", () => {
  async function flags(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<options.ClientFlags> {
    const program = options.withClientFlags(new Command()).enablePositionalOptions().exitOverride();

    let got: options.ClientFlags | undefined;
    const verb = new Command("verb").action((_flags: unknown, command: Command) => {
      got = options.clientFlags(command, environment);
    });
    program.addCommand(options.withClientFlags(verb.exitOverride().configureOutput({ writeErr: () => {} })));
    await program.parseAsync([...args], { from: "user" });
    return got ?? assert.fail("the verb did not run");
  }

  it("come from behind the verb, before it, the environment, or by default", async () => {
    const environment = { CAPSTAN_ADDR: "e:1,e:2" };
    assert.deepEqual(await flags(["--addr", "a:1", "verb", "--addr", "b:1", "--addr", "b:2"], environment), {
      addresses: ["b:1", "b:2"],
      output: undefined,
      timeoutMs: 30_000,
    });
    assert.deepEqual((await flags(["--addr", "a:1", "verb"], environment)).addresses, ["a:1"]);
    assert.deepEqual((await flags(["verb"], environment)).addresses, ["e:1", "e:2"]);
    assert.deepEqual((await flags(["verb"], { CAPSTAN_ADDR: "" })).addresses, ["127.0.0.1:9090"]);
    const { output, timeoutMs } = await flags(["-o", "table", "verb", "-o", "json", "--timeout", "2s"]);
    assert.equal(output, "json");
    assert.equal(timeoutMs, 2_000);
    await assert.rejects(flags(["verb", "--timeout", "30d"]), /--timeout .*up to 24 days/);
    await assert.rejects(flags(["verb", "--timeout", "0s"]), /--timeout .*above 0/);
  });

  it("name the variable that cannot be used", async () => {
    await assert.rejects(flags(["verb"], { CAPSTAN_ADDR: "nonsense" }), /CAPSTAN_ADDR.*nonsense/);
  });
});
