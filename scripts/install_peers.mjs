// Owns: the installation of the queues that Capstan is measured beside, from the distribution's packages, and of their
// clients. It never starts one of them: a policy file keeps the packages from doing so where there was none. Called by
// `npm run bench:peers:install`, as root or with sudo.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { aptInstall, isRoot } from "./lib/packages.mjs";
import { runMain, runShown, StepFailed } from "./lib/run.mjs";

const packages = ["redis-server", "rabbitmq-server", "nats-server", "beanstalkd"];
const policy = "/usr/sbin/policy-rc.d";

function main() {
  process.chdir(fileURLToPath(new URL("..", import.meta.url)));
  const sudo = isRoot() ? [] : ["sudo"];
  const must = (command) => {
    if (runShown([...sudo, ...command]) !== 0) throw new StepFailed(`failed: ${command.join(" ")}`);
  };
  const hadPolicy = existsSync(policy);
  // 101 is "not allowed": what the packages ask before they start a service.
  if (!hadPolicy) must(["sh", "-c", `printf '#!/bin/sh\\nexit 101\\n' > ${policy} && chmod 755 ${policy}`]);
  try {
    must(["apt-get", "update", "-q"]);
    must(aptInstall(packages));
  } finally {
    if (!hadPolicy) must(["rm", "-f", policy]);
  }
  if (runShown(["npm", "ci", "--prefix", "bench/peers"]) !== 0) throw new StepFailed("npm ci in bench/peers failed");
  return 0;
}

await runMain(main);
