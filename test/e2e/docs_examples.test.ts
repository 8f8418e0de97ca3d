// The examples of docs/client.md and docs/cli.md do what they say, against a real server: those in TypeScript are
// compiled strictly and run, those of the shell are run by bash one command at a time. Owns the server and a directory,
// which are removed at the end.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { CapstanClient } from "../../src/client/index.js";
import { commands, type Example, examples } from "../support/doc_examples.js";
import { capstan, root, ServerProcess, temporaryDirectory } from "../support/server_process.js";

const directory = temporaryDirectory();
let server: ServerProcess;
let address: string;
let client: CapstanClient;

before(async () => {
  server = new ServerProcess();
  address = await server.ready();
  client = new CapstanClient({ addresses: [address] });
});

after(async () => {
  await client.close();
  await server.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** What the examples of docs/client.md leave to their reader. */
const prelude = `
interface Surroundings {
  readonly client: CapstanClient;
  readonly grant: Grant;
  readonly job: Job;
  readonly jobs: readonly NewJob[];
  readonly payload: string;
  readonly result: string;
  readonly number: number;
  readonly stopping: AbortSignal;
  readonly send: (payload: Uint8Array) => Promise<void>;
}

async function surroundings(client: CapstanClient): Promise<Surroundings> {
  await client.setQueue("old");
  await client.enqueueMany("mail", [{ payload: "1" }, { payload: "2" }, { payload: "3" }]);
  await client.enqueue("step1", { payload: "3" });
  // Of two jobs, so that the lease goes on when the first is settled.
  const grant = await client.fetch("mail", { jobsMax: 2 });
  const job = grant?.jobs[0];
  if (!grant || !job) throw new Error("no job for the example");
  const controller = new AbortController();
  return {
    client, grant, job, jobs: [{ payload: "4" }], payload: "5", result: "6", number: 7,
    stopping: controller.signal,
    // Of an endless loop, one turn.
    send: async () => controller.abort(),
  };
}
`;

function moduleOf(blocks: readonly Example[]): string {
  const functions = blocks.map(({ place, text }) => {
    const body = text.replaceAll(/^import .*$/gm, "").replaceAll("127.0.0.1:9090", address);
    return `// ${place}
async function example${place.replaceAll(/\W/g, "_")}(of: Surroundings): Promise<void> {
  const { client, grant, job, jobs, payload, result, number, stopping, send } = of;
  {
${body}
  }
}`;
  });
  const runs = blocks.map(({ place }) => `await run("${place}", example${place.replaceAll(/\W/g, "_")});`);
  return `import { setTimeout } from "node:timers/promises";
import { CapstanClient, type Grant, type Job, type NewJob } from "capstan/client";
${prelude}
${functions.join("\n\n")}

async function run(place: string, example: (of: Surroundings) => Promise<void>): Promise<void> {
  const client = new CapstanClient({ addresses: ["${address}"] });
  try {
    await example(await surroundings(client));
    console.log("done " + place);
  } catch (error) {
    console.error(place, error);
    process.exitCode = 1;
  }
  await client.close();
}

${runs.join("\n")}
`;
}

describe("the examples of docs/client.md", { timeout: 300_000 }, () => {
  it("compile strictly against the package as it is published, and run", async () => {
    const blocks = examples("docs/client.md", "ts");
    assert.ok(blocks.length >= 8, `${blocks.length} examples`);
    const folder = join(directory, "typescript");
    mkdirSync(join(folder, "node_modules"), { recursive: true });
    symlinkSync(root, join(folder, "node_modules", "capstan"));
    symlinkSync(join(root, "node_modules", "@types"), join(folder, "node_modules", "@types"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
    const source = moduleOf(blocks);
    writeFileSync(join(folder, "examples.ts"), source);
    const flags = ["--strict", "--target", "es2023", "--module", "nodenext", "--types", "node", "examples.ts"];
    const compiled = spawnSync(process.execPath, [join(root, "node_modules", ".bin", "tsc"), ...flags], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.equal(compiled.status, 0, `${compiled.stdout}${compiled.stderr}\n${source}`);
    const ran = await promisify(execFile)(process.execPath, ["examples.js"], { cwd: folder, timeout: 120_000 });
    assert.equal(ran.stdout.match(/^done /gm)?.length, blocks.length, ran.stdout + ran.stderr);
  });
});

describe("the examples of docs/cli.md", { timeout: 600_000 }, () => {
  const found = examples("docs/cli.md", "sh").flatMap(commands);
  let home: string;

  before(() => {
    home = join(directory, "home");
    mkdirSync(join(home, ".zfunc"), { recursive: true });
    mkdirSync(join(home, ".config", "fish", "completions"), { recursive: true });
    mkdirSync(join(home, "bin"));
    writeFileSync(join(home, "bin", "capstan"), `#!/bin/sh\nexec "${process.execPath}" "${capstan}" "$@"\n`, {
      mode: 0o755,
    });
    writeFileSync(join(home, "letter.eml"), "Subject: hello\n\nhello\n");
    writeFileSync(join(home, "jobs.txt"), "one\ntwo\n");
    writeFileSync(join(home, "send-mail.sh"), "#!/bin/sh\ncat > /dev/null\n", { mode: 0o755 });
    mkdirSync(join(home, "srv"));
    writeFileSync(join(home, "srv", "a file"), "");
  });

  it("are found", () => {
    assert.ok(found.length > 40, `${found.length} commands`);
  });

  for (const { place, text } of found) {
    // A server of its own is what all the others talk to.
    if (/^capstan server/.test(text)) continue;
    const isMissing = /\| jq /.test(text) && spawnSync("jq", ["--version"]).status !== 0;
    it(`${place}: ${text.split("\n")[0]}`, { skip: isMissing ? "jq is not installed" : false }, async () => {
      const sent = await filledIn(text, home);
      const environment = { PATH: `${join(home, "bin")}:${process.env["PATH"]}`, HOME: home, CAPSTAN_ADDR: address };
      const ran = spawnSync("bash", ["-o", "pipefail", "-c", sent], {
        cwd: home,
        encoding: "utf8",
        env: { ...environment, order: "4 apples" },
        timeout: 120_000,
      });
      assert.equal(ran.status, 0, `${sent}\n${ran.stdout}${ran.stderr}`);
      if (/ work /.test(sent)) assert.match(ran.stderr, /^capstan: [1-9]\d* acked$/m, "a job was not done");
    });
  }
});

/** Puts in what stands for something else, and makes what the command is about. */
async function filledIn(text: string, home: string): Promise<string> {
  await client.setQueue("mail", { paused: false });
  await client.enqueueMany("files", [{ payload: join(home, "letter.eml") }]);
  await client.enqueueMany("mail", [{ payload: "a" }, { payload: "b" }]);
  const grant = await client.fetch("mail", { jobsMax: 1 });
  const job = grant?.jobs[0];
  assert.ok(grant && job);
  let id = job.id;
  if (text.startsWith("capstan dead")) {
    await client.fail(grant.lease, [{ id, dead: true }]);
  } else if (text.startsWith("capstan job")) {
    await client.release(grant.lease, "all");
  }
  if (/ work /.test(text)) {
    // What was taken here must not make the worker wait.
    await client.release(grant.lease, "all");
    id = "";
  }
  return (
    text
      .replaceAll("LEASE", grant.lease)
      .replaceAll("0192…7a", id)
      .replaceAll(/\bID\b/g, id)
      .replace('"lease": "…"', `"lease": "${grant.lease}"`)
      .replace('"ids": ["…"]', `"ids": ["${id}"]`)
      .replaceAll("/srv", join(home, "srv"))
      // A worker goes on until it is told to stop.
      .replace(/ work (\w+) (?!.*--drain)/, " work $1 --drain ")
  );
}
