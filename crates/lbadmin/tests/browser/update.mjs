// A new version by the pages, and factory settings: chapter 19 of docs/guide. Told with and without scripts.

import assert from "node:assert/strict";
import { examine } from "./axe.mjs";
import { Person, picture } from "./browser.mjs";
import { limits } from "./limits.mjs";
import { PASSWORD, logIn } from "./story.mjs";

const bundle = (size) => ({ name: "steelyard-0.2.0.lbu", mimeType: "application/octet-stream", buffer: Buffer.alloc(size, "steelyard-update 1\n") });

export function update(browser, unit, options) {
  const steps = [];
  const step = (name, work) => steps.push({ name, work });
  const story = { steps, people: [] };
  const { door } = unit;
  let anna;
  const shot = (name) => anna.page.screenshot({ path: picture(`update-${name}-${anna.scripts ? "scripts" : "none"}`), fullPage: true });

  step("what is no bundle is refused", async () => {
    anna = await Person.at(browser, unit, options);
    story.people.push(anna);
    await logIn(anna, PASSWORD);
    await anna.menu("Maintenance", "Software Update");
    await anna.sees("No update was installed since the factory settings");
    await examine(anna, "software update");
    await anna.field("Update bundle").setInputFiles({ ...bundle(0), buffer: Buffer.from("hello") });
    await anna.press("Upload");
    await anna.sees("This is no update bundle.");
    await anna.field("Update bundle").setInputFiles(bundle(5_100_000));
    await anna.press("Upload");
    await anna.sees(anna.scripts ? "and 5.0 MB is the most" : "The bundle is larger than the slot");
    await shot("too-large");
    assert.deepEqual(door.asked, []);
  });

  step("a bundle is uploaded and installed, and the page says how far it is", async () => {
    await anna.menu("Maintenance", "Software Update");
    await anna.field("Update bundle").setInputFiles(bundle(4_900_000));
    await anna.press("Upload");
    await anna.sees("The bundle is here: version 0.2.0");
    await shot("uploaded");
    await examine(anna, "an uploaded bundle");
    door.held = true;
    await anna.press("Install 0.2.0");
    await anna.sees(anna.page.getByRole("progressbar"));
    await examine(anna, "an installation");
    await shot("installing");
    door.held = false;
    await anna.becomes("the installation done", async () => (await anna.page.getByRole("button", { name: "Restart into 0.2.0…" }).count()) > 0);
    await shot("installed");
    await anna.press("Delete");
    await anna.sees("The uploaded bundle is deleted.");
    assert.deepEqual(door.asked.splice(0), ["install"]);
  });

  step("the restart says what it does", async () => {
    await anna.press("Restart into 0.2.0…");
    await anna.sees(/Every connection through this unit breaks/);
    await examine(anna, "the restart");
    await anna.press("Restart into 0.2.0");
    await anna.sees("The unit restarts.");
    assert.deepEqual(door.asked.splice(0), ["restart"]);
  });

  step("an update that came back says why", async () => {
    door.cameBack();
    await anna.open("maintenance/update");
    await anna.sees(/did not stay: lbd does not answer/);
    await examine(anna, "an update that came back");
    await shot("came-back");
    await anna.press("Take the alarm away");
    assert.deepEqual(door.asked.splice(0), ["acknowledge"]);
  });

  step("factory settings want the word and the password", async () => {
    await anna.menu("Maintenance", "Factory Settings");
    await anna.sees(/the configuration with its history/);
    await anna.fill({ "Type “restore”": "restore", "Your password": "nonsense" });
    await anna.press("Restore factory settings");
    await anna.sees("The password is wrong");
    await examine(anna, "refused factory settings");
    assert.deepEqual(door.asked, []);
    await anna.fill({ "Type “restore”": "restore", "Your password": PASSWORD });
    await anna.press("Restore factory settings");
    await anna.sees("The unit restarts, with factory settings.", limits.page);
    assert.deepEqual(door.asked.splice(0), ["restore"]);
    anna.content();
  });

  return story;
}
