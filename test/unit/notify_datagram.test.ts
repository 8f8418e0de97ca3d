// The datagram that the addon sends to the service manager: to a path and to an abstract name, whole and once; nothing
// and no error where there is none to receive it. Node has no Unix datagram sockets, so Python plays the receiver.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

const scratch = mkdtempSync(join(tmpdir(), "capstan-notify-"));
const receivers: ChildProcess[] = [];
after(() => {
  for (const child of receivers) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});

const receiver = `
import socket, sys
name = sys.argv[1]
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.settimeout(20)
end.bind("\\0" + name[1:] if name[0] == "@" else name)
print("bound", flush=True)
sys.stdout.write(end.recv(65536).decode())
`;

// From dist/test/unit.
const addon = new URL("../../../build/Release/capstan.node", import.meta.url).pathname;

/** Sends from a process of its own, since the variable is read from the process's environment. */
function send(state: string, socket: string | undefined) {
  const script = `require(process.argv[1]).notifySystemd(process.argv[2])`;
  const { NOTIFY_SOCKET: _, ...rest } = process.env;
  const env = socket === undefined ? rest : { ...rest, NOTIFY_SOCKET: socket };
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script, addon, state], {
    encoding: "utf8",
    env,
  });
  return { status, stdout, stderr };
}

/** Plays the service manager: has bound its socket when this resolves; `said` gives what came once it has ended. */
async function receiverOn(socket: string): Promise<{ child: ChildProcess; said: Promise<string> }> {
  const child = spawn("python3", ["-c", receiver, socket], { stdio: ["ignore", "pipe", "inherit"] });
  receivers.push(child);
  child.stdout.setEncoding("utf8");
  let text = "";
  const isBound = new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (more: string) => {
      text += more;
      if (text.startsWith("bound\n")) resolve();
    });
    child.on("close", () => reject(new Error(`the receiver ended: ${text}`)));
  });
  const said = once(child, "close").then(() => text.slice("bound\n".length));
  await isBound;
  return { child, said };
}

const quiet = { status: 0, stdout: "", stderr: "" };

describe("notifySystemd", { skip: process.platform !== "linux" }, () => {
  for (const socket of [join(scratch, "notify.sock"), `@capstan-test-${process.pid}`]) {
    it(`sends the state to ${socket[0] === "@" ? "an abstract name" : "a path"}`, async () => {
      const { child, said } = await receiverOn(socket);
      assert.deepEqual(send("READY=1\nSTATUS=Serving", socket), quiet);
      assert.equal(await said, "READY=1\nSTATUS=Serving");
      assert.equal(child.exitCode, 0);
    });
  }

  it("does nothing without a socket, or with one that cannot be reached", () => {
    const names = [
      undefined,
      "",
      "@",
      "/",
      "relative",
      join(scratch, "nobody"),
      `/${"x".repeat(200)}`,
      "@nobody-at-all",
    ];
    for (const socket of names) assert.deepEqual(send("READY=1", socket), quiet, String(socket));
  });
});
