// The first part of the story told to a unit that has booted elsewhere: `cargo xtask test clicks` starts it. Servers are
// stopped and started by whoever started this: a line `ask: stop rs2` on standard output, answered by a line `done`.
//
// Environment: STEELYARD_UNIT its address; STEELYARD_BROWSER_MODULES, STEELYARD_CHROMIUM, STEELYARD_SLOW as for suite.mjs.

import { createInterface } from "node:readline";
import { launch } from "./browser.mjs";
import { story } from "./story.mjs";
import { tell } from "./tell.mjs";

// The last of its steps; what comes after needs no real kernel.
const LAST = "a server that fails, and why";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  console.log(`ask: ${what}`);
  const { value } = await answers.next();
  if (value !== "done") throw new Error(`asked for ${what}, answered ${value}`);
}

class LabServer {
  constructor(name) {
    this.name = name;
  }

  async start() {
    await ask(`start ${this.name}`);
  }

  async stop() {
    await ask(`stop ${this.name}`);
  }
}

async function main() {
  const url = process.env.STEELYARD_UNIT;
  const unit = { name: "booted", url, logs: () => "---- the appliance's console is in target/vm" };
  const browser = await launch();
  try {
    const told = story(browser, unit, [new LabServer("rs1"), new LabServer("rs2")], {});
    const last = told.steps.findIndex((step) => step.name === LAST);
    if (last < 0) throw new Error(`the story has no step ${LAST}`);
    told.steps.splice(last + 1);
    await tell(unit.name, unit, told);
  } finally {
    await browser.close();
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(`failed: ${error.message}`);
    process.exit(1);
  },
);
