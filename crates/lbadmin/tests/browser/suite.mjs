// The browser suite: `cargo xtask test browser` starts it in a network namespace of its own. Tells the story with and
// without scripts, each to a factory unit, then looks at every page, and at a pair's. Ends with 0 when all of it held.
//
// Environment: STEELYARD_BROWSER_MODULES folder of node_modules, into which screenshots go as well;
// STEELYARD_PROGRAMS folder of lbd and lbadmin; STEELYARD_CHROMIUM; STEELYARD_SLOW (limits.mjs).

import { launch } from "./browser.mjs";
import { layer7 } from "./layer7.mjs";
import { pages } from "./pages.mjs";
import { OneOfAPair, pair } from "./pair.mjs";
import { story } from "./story.mjs";
import { seconds, tell } from "./tell.mjs";
import { update } from "./update.mjs";
import { RealServer, Unit, network } from "./unit.mjs";

async function main() {
  const begin = Date.now();
  network();
  const servers = ["192.168.2.50", "192.168.2.51"].map((address) => new RealServer(address));
  for (const server of servers) await server.start();
  const programs = process.env.STEELYARD_PROGRAMS;
  const units = [
    new Unit("with scripts", "127.0.0.1", programs), new Unit("without scripts", "127.0.0.2", programs),
    new OneOfAPair("one of a pair", "127.0.0.3", programs),
  ];
  let browser;
  try {
    [browser] = await Promise.all([launch(), ...units.map((unit) => unit.start())]);
    console.log(`  ✓ Chromium ${browser.version()} and three factory units (${seconds(begin)})`);
    const [scripts, none, half] = units;
    await tell(scripts.name, scripts, story(browser, scripts, servers, {}));
    await tell(none.name, none, story(browser, none, servers, { javaScriptEnabled: false }));
    await tell(`layer 7, ${scripts.name}`, scripts, layer7(browser, scripts, {}));
    await tell(`layer 7, ${none.name}`, none, layer7(browser, none, { javaScriptEnabled: false }));
    await tell(`update, ${scripts.name}`, scripts, update(browser, scripts, {}));
    await tell(`update, ${none.name}`, none, update(browser, none, { javaScriptEnabled: false }));
    await tell("pages", scripts, pages(browser, scripts));
    await tell(half.name, half, pair(browser, half));
  } finally {
    await browser?.close();
    for (const unit of units) await unit.stop();
    for (const server of servers) await server.stop().catch(() => {});
  }
  console.log(`  ✓ all of it in ${seconds(begin)}`);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(`failed: ${error.message}`);
    process.exit(1);
  },
);
